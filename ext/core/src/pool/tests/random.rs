//! Steps in random orders, from a fixed seed: what fails once fails again, and is made as short as it can be.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::model::Pair;
use crate::owner::OwnerId;

const SEQUENCES: u32 = 4_000;
const LONGEST: usize = 120;

/// A step by one number: strategies of proptest's own for each of its parts take more than ten times as long.
#[derive(Clone, Copy)]
struct Step(u32);

impl Step {
    fn run(self, pair: &mut Pair) {
        let (kind, rest) = (self.0 % 144, self.0 / 144);
        let (owner, choice, seldom) = (
            OwnerId::from(rest % 7 + 1),
            (rest / 7 % 8) as usize,
            rest / 56 % 10 == 0,
        );
        match kind {
            0..20 => pair.checkout(owner),
            20..40 => pair.wait(owner),
            40..42 => pair.open_spare(),
            42..56 => pair.opened(choice, seldom),
            56..59 => pair.connect_failed(choice),
            59 => pair.dismiss(),
            60..74 => pair.release(owner),
            74..80 => pair.give_up(choice, seldom),
            80..96 => pair.take(owner),
            96..110 => pair.bring_back(choice, rest / 56 % 2 == 0, seldom),
            110..113 => pair.broke(choice),
            113..123 => pair.cleaned(choice),
            123..125 => pair.not_cleaned(choice),
            125..129 => pair.condemn(rest as usize),
            129..133 => pair.borrow_idle(),
            133..136 => pair.take_idle(seldom),
            136..138 => pair.close_idle(),
            138..141 => pair.resize(choice % 6),
            141 if seldom => pair.close(),
            141 => pair.fork(),
            _ => pair.rest(),
        }
    }
}

#[test]
fn whatever_the_order_of_its_steps_a_pool_loses_nothing_and_nobody() {
    let config = Config {
        cases: SEQUENCES,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let sequences = (1..5_usize, prop::collection::vec(any::<u32>(), 1..LONGEST));
    let ended = runner.run(&sequences, |(size, steps)| {
        let mut pair = Pair::new(size);
        for number in steps {
            Step(number).run(&mut pair);
            pair.check();
        }
        pair.rest();
        Ok(())
    });
    if let Err(failure) = ended {
        panic!("{failure}");
    }
}
