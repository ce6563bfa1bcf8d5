//! Load: who asks when, and what is written down of the answers.

mod alarm;
mod measured;
mod phase;
mod recorder;
mod schedule;

pub(crate) use measured::{Failures, Latencies, Measured, Operation, Second, latencies};
pub(crate) use phase::{Pace, Phase, Session, Stop};
