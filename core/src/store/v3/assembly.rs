//! Answers with holes: the parts of an answer that are still being worked out.

use alloc::vec::Vec;

use super::Answer;

/// Where a part belongs in an answer: its place in each list from the outermost on.
pub(super) type Hole = Vec<usize>;

/// An answer of which some parts are missing.
#[derive(Debug)]
pub(super) struct Assembly {
    answer: Answer,
    holes: usize,
}

impl Assembly {
    pub(super) fn new(answer: Answer, holes: usize) -> Self {
        assert!(holes > 0, "an answer without holes is given at once");
        Self { answer, holes }
    }

    /// Fills a hole. The whole answer, if it was the last one.
    pub(super) fn fill(&mut self, hole: &[usize], part: Answer) -> Option<Answer> {
        let mut place = &mut self.answer;
        for step in hole {
            let Answer::Txn { answers, .. } = place else {
                panic!("a hole lies in a transaction's answer");
            };
            place = &mut answers[*step];
        }
        *place = part;
        self.holes -= 1;
        (self.holes == 0).then(|| core::mem::replace(&mut self.answer, empty()))
    }
}

fn empty() -> Answer {
    Answer::Put { revision: 0, previous: None }
}

/// Puts the answers of a decided transaction's steps together.
#[derive(Debug, Default)]
pub(super) struct Builder {
    open: Vec<(bool, Vec<Answer>)>,
    whole: Option<Answer>,
}

impl Builder {
    /// A transaction's answers begin.
    pub(super) fn begin(&mut self, succeeded: bool) {
        self.open.push((succeeded, Vec::new()));
    }

    /// They end.
    pub(super) fn end(&mut self, revision: i64) {
        let (succeeded, answers) = self.open.pop().expect("what ends has begun");
        self.add(Answer::Txn { revision, succeeded, answers });
    }

    /// The next answer.
    pub(super) fn add(&mut self, answer: Answer) {
        match self.open.last_mut() {
            Some((_, answers)) => answers.push(answer),
            None => {
                assert!(self.whole.is_none(), "a request has one answer");
                self.whole = Some(answer);
            }
        }
    }

    /// The place of the next answer, to be filled later.
    pub(super) fn hole(&self) -> Hole {
        self.open.iter().map(|(_, answers)| answers.len()).collect()
    }

    /// The whole answer.
    pub(super) fn finish(self) -> Answer {
        self.whole.expect("a request has an answer")
    }
}
