use crate::buffer::FlushEnd;
use crate::extraction::Request;
use crate::ids::{ClaimToken, FlushId};
use crate::ports::{Answer, Commit, CommitReply, DeadLetter, FlushRecord, ModelError, Release, Reseal, Take, Taken};
use crate::profile::Profile;

/// What to do next, on behalf of the flush's owner.
#[derive(Clone, Debug)]
pub enum Step {
    /// [`crate::ports::Journal::take`]
    Take(Take),
    /// [`crate::ports::Store::profile`]
    ReadProfile,
    /// [`crate::ports::Store::answer`]
    ReadAnswer(FlushId, u32),
    /// [`crate::ports::LanguageModel::extract`]
    Ask(Box<Request>),
    /// [`crate::ports::Store::record_answer`]
    RecordAnswer(FlushId, u32, Answer),
    /// [`crate::ports::Store::commit`]
    Commit(Box<Commit>),
    /// [`crate::ports::Store::end_flush`]
    End(FlushId, Box<FlushRecord>, Option<Box<DeadLetter>>),
    /// [`crate::ports::Journal::reseal`]
    Reseal(Reseal),
    /// [`crate::ports::Journal::release`]
    Release(FlushId, ClaimToken, Release),
    /// [`crate::ports::Journal::discard`]
    Discard(FlushId),
    /// The run is over.
    Done(FlushEnd),
}

/// What came of a [`Step`].
#[derive(Clone, Debug)]
pub enum Reply {
    /// To [`Step::Take`].
    Taken(Taken),
    /// To [`Step::ReadProfile`].
    Profile(Option<Profile>),
    /// To [`Step::ReadAnswer`].
    Answer(Option<Answer>),
    /// To [`Step::Ask`].
    Asked(Result<Answer, ModelError>),
    /// To [`Step::Ask`]: the model may not be asked now, because the project has used up its tokens. In words for clients.
    Held(String),
    /// To [`Step::RecordAnswer`]: the answer that counts.
    Recorded(Answer),
    /// To [`Step::Commit`].
    Committed(CommitReply),
    /// To [`Step::End`]: the outcome that was there already.
    Ended(Option<FlushRecord>),
    /// To [`Step::Reseal`].
    Resealed(bool),
    /// To [`Step::Release`].
    Released(bool),
    /// To [`Step::Discard`].
    Discarded,
    /// To any step: journal or store are away; whether the step has happened is unknown.
    Down(&'static str),
    /// To any step: something that is stored cannot be read, or a defect showed. Trying again is likely to end the
    /// same way.
    Broken(&'static str),
}
