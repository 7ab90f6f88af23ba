//! What may be believed of what a server says of itself.

use std::time::{Duration, Instant};

use crate::backend::Facts;

/// What has become of a server, as two answers in a row agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It was started again, at about this moment: what was opened before leads nowhere.
    Restarted(Instant),
    /// It took writes, and takes none any more.
    Demoted,
}

/// A restart is told by the server in seconds of its own clock.
const SLACK: Duration = Duration::from_secs(2);

/// What is known of one host.
#[derive(Debug, Default)]
pub struct Acquaintance {
    believed: Option<Known>,
    /// What the newest answer said otherwise; believed when the next one agrees.
    doubt: Option<Known>,
}

#[derive(Debug, Clone)]
struct Known {
    server: String,
    started: Option<Instant>,
    run: Option<String>,
    read_only: bool,
    /// Over which log-in it was said.
    session: u64,
}

impl Known {
    fn agrees(&self, other: &Known) -> bool {
        self.server == other.server && self.read_only == other.read_only && !started_apart(self, other)
    }
}

/// Where its clock was set, a server has been up for another time, and was still started when it was.
fn started_apart(one: &Known, other: &Known) -> bool {
    let times = one.started.zip(other.started);
    one.run != other.run && times.is_some_and(|(one, other)| one.max(other) - one.min(other) >= SLACK)
}

impl Acquaintance {
    /// Takes an answer that came over this log-in. What it says other than before is believed when the next one agrees
    /// over another log-in, and nothing is believed of a server that somebody stands in front of. Returns what is new, and
    /// whether the next answer is to come over another.
    ///
    /// `asked_at` is a moment before the question was sent: a server that was started meanwhile seems older than it is, and
    /// nothing that was opened since is taken for what was there before.
    pub fn learn(&mut self, facts: &Facts, session: u64, asked_at: Instant) -> (Vec<News>, bool) {
        if !facts.direct {
            *self = Acquaintance::default();
            return (Vec::new(), false);
        }
        let known = Known {
            server: facts.server.clone(),
            started: facts.up_for.and_then(|time| asked_at.checked_sub(time)),
            run: facts.run.clone(),
            read_only: facts.read_only,
            session,
        };
        let Some(believed) = &self.believed else {
            self.believed = Some(known);
            return (Vec::new(), false);
        };
        if believed.agrees(&known) {
            self.doubt = None;
            return (Vec::new(), false);
        }
        let sure = |doubt: &Known| doubt.agrees(&known) && doubt.session != known.session;
        if !self.doubt.take().as_ref().is_some_and(sure) {
            self.doubt = Some(known);
            return (Vec::new(), true);
        }
        let news = news(believed, &known);
        self.believed = Some(known);
        (news, false)
    }
}

fn news(before: &Known, now: &Known) -> Vec<News> {
    // Another server at the same address: its connections are not the other's, and those hang up by themselves.
    if before.server != now.server {
        return Vec::new();
    }
    let later = |at: &Instant| before.run != now.run && before.started.is_some_and(|before| *at >= before + SLACK);
    let restarted = now.started.filter(later).and_then(|at| at.checked_sub(SLACK));
    let restarted = restarted.map(News::Restarted);
    let demoted = (now.read_only && !before.read_only).then_some(News::Demoted);
    restarted.into_iter().chain(demoted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(up_for: u64, read_only: bool) -> Facts {
        Facts {
            server: "7301".to_owned(),
            up_for: Some(Duration::from_secs(up_for)),
            run: Some(format!("up for {up_for}")),
            read_only,
            direct: true,
        }
    }

    /// Each over a log-in of its own.
    fn learnt(answers: &[Facts]) -> Vec<News> {
        let (mut known, start) = (Acquaintance::default(), Instant::now());
        let answers = answers.iter().zip(1..);
        answers
            .flat_map(|(facts, session)| known.learn(facts, session, start).0)
            .collect()
    }

    #[test]
    fn a_restart_and_a_demotion_are_believed_when_two_answers_agree() {
        assert_eq!(learnt(&[facts(90, false), facts(5, false)]), []);
        assert!(matches!(
            learnt(&[facts(90, false), facts(5, false), facts(5, false)])[..],
            [News::Restarted(_)]
        ));
        let demoted = [facts(90, false), facts(90, true), facts(90, true), facts(90, true)];
        assert_eq!(learnt(&demoted), [News::Demoted]);
    }

    #[test]
    fn a_second_opinion_over_the_same_log_in_is_none() {
        let (mut known, start) = (Acquaintance::default(), Instant::now());
        known.learn(&facts(90, false), 1, start);
        assert_eq!(known.learn(&facts(90, true), 1, start), (vec![], true));
        assert_eq!(known.learn(&facts(90, true), 1, start), (vec![], true));
        assert_eq!(known.learn(&facts(90, true), 2, start), (vec![News::Demoted], false));
    }

    #[test]
    fn a_clock_that_was_set_is_no_restart() {
        let set_back = |up_for| Facts {
            run: Some("1700000000.1".to_owned()),
            ..facts(up_for, false)
        };
        assert_eq!(learnt(&[set_back(9_000), set_back(5), set_back(6), set_back(7)]), []);
    }

    #[test]
    fn two_servers_that_answer_in_turn_are_no_news() {
        let mut answers = Vec::new();
        for _ in 0..10 {
            answers.extend([facts(90, false), facts(5, true)]);
        }
        assert_eq!(learnt(&answers), []);
    }

    #[test]
    fn another_server_at_the_address_or_one_behind_a_pooler_is_no_news() {
        let other = Facts {
            server: "9999".to_owned(),
            ..facts(5, true)
        };
        assert_eq!(learnt(&[facts(90, false), other.clone(), other]), []);
        let hidden = |up_for, read_only| Facts {
            direct: false,
            ..facts(up_for, read_only)
        };
        assert_eq!(learnt(&[hidden(90, false), hidden(5, true), hidden(5, true)]), []);
    }

    #[test]
    fn a_promotion_or_a_clock_that_was_set_is_no_news() {
        assert_eq!(learnt(&[facts(90, true), facts(90, false), facts(90, false)]), []);
        assert_eq!(learnt(&[facts(90, false), facts(89, false), facts(89, false)]), []);
        let untold = Facts {
            up_for: None,
            ..facts(0, false)
        };
        assert_eq!(learnt(&[facts(90, false), untold.clone(), untold]), []);
    }
}
