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
    started: Instant,
    read_only: bool,
}

impl Known {
    fn agrees(&self, other: &Known) -> bool {
        let apart = self.started.max(other.started) - self.started.min(other.started);
        self.server == other.server && self.read_only == other.read_only && apart < SLACK
    }
}

impl Acquaintance {
    /// Takes an answer. What it says other than before is believed when the next answer agrees, and nothing is believed
    /// of a server that somebody stands in front of.
    pub fn learn(&mut self, facts: &Facts, now: Instant) -> Vec<News> {
        let started = now.checked_sub(facts.up_for).filter(|_| facts.direct);
        let Some(started) = started else {
            *self = Acquaintance::default();
            return Vec::new();
        };
        let known = Known {
            server: facts.server.clone(),
            started,
            read_only: facts.read_only,
        };
        let Some(believed) = &self.believed else {
            self.believed = Some(known);
            return Vec::new();
        };
        if believed.agrees(&known) {
            self.doubt = None;
            return Vec::new();
        }
        if !self.doubt.take().is_some_and(|doubt| doubt.agrees(&known)) {
            self.doubt = Some(known);
            return Vec::new();
        }
        let news = news(believed, &known);
        self.believed = Some(known);
        news
    }
}

fn news(before: &Known, now: &Known) -> Vec<News> {
    // Another server at the same address: its connections are not the other's, and those hang up by themselves.
    if before.server != now.server {
        return Vec::new();
    }
    let restarted = (now.started >= before.started + SLACK).then_some(News::Restarted(now.started));
    let demoted = (now.read_only && !before.read_only).then_some(News::Demoted);
    restarted.into_iter().chain(demoted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(up_for: u64, read_only: bool) -> Facts {
        Facts {
            server: "7301".to_owned(),
            up_for: Duration::from_secs(up_for),
            read_only,
            direct: true,
        }
    }

    fn learnt(answers: &[Facts]) -> Vec<News> {
        let (mut known, start) = (Acquaintance::default(), Instant::now());
        answers.iter().flat_map(|facts| known.learn(facts, start)).collect()
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
    fn a_promotion_is_no_news_and_a_clock_that_is_set_by_a_second_is_no_restart() {
        assert_eq!(learnt(&[facts(90, true), facts(90, false), facts(90, false)]), []);
        assert_eq!(learnt(&[facts(90, false), facts(89, false), facts(89, false)]), []);
    }
}
