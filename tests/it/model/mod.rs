//! The language model: the stand-in for one, and the server with one that misbehaves.

mod mock;
