//! Tokens of projects: `sk-<project>-<secret>`.

use std::fmt::{self, Write as _};

use memory::ids::ProjectId;
use memory::ports::TokenHash;
use rustls::crypto::ring::default_provider;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What every token begins with.
const PREFIX: &str = "sk-";
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A token that a client has sent. It says which project it is for; whether that project knows it is another question.
#[derive(Clone)]
pub(crate) struct ProjectToken {
    /// The project that it names.
    pub(crate) project: ProjectId,
    hash: TokenHash,
}

impl fmt::Debug for ProjectToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProjectToken(sk-{}-…)", self.project)
    }
}

impl ProjectToken {
    /// Reads a token. The secret is what follows the last dash: names of projects may have dashes, secrets have none.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let (name, secret) = token.strip_prefix(PREFIX)?.rsplit_once('-')?;
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if secret.len() != 2 * SECRET_BYTES || !secret.bytes().all(is_hex) {
            return None;
        }
        let project = ProjectId::checked(name).ok()?;
        Some(Self { project, hash: hash(secret) })
    }

    /// Whether this is the token that is known by a hash. Takes the same time in any case.
    pub(crate) fn is(&self, known: &TokenHash) -> bool {
        self.hash.0.ct_eq(&known.0).into()
    }
}

fn hash(secret: &str) -> TokenHash {
    TokenHash(Sha256::digest(secret.as_bytes()).into())
}

/// The system gave no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers")]
pub(crate) struct NoRandomness;

/// Makes a new token for a project: the token, to be shown once, and what it is known by.
///
/// # Errors
/// See [`NoRandomness`].
pub(crate) fn make(project: &ProjectId) -> Result<(String, TokenHash), NoRandomness> {
    let mut bytes = [0; SECRET_BYTES];
    default_provider().secure_random.fill(&mut bytes).map_err(|_| NoRandomness)?;
    let mut secret = String::with_capacity(2 * SECRET_BYTES);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(secret, "{byte:02x}");
    }
    let known = hash(&secret);
    Ok((format!("{PREFIX}{project}-{secret}"), known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_its_project_alone() {
        for name in ["p", "my-project-2", "-", "--a_", &"x".repeat(64)] {
            let id = ProjectId::checked(name).unwrap();
            let ((token, known), (other, _)) = (make(&id).unwrap(), make(&id).unwrap());
            assert_ne!(token, other);
            let read = ProjectToken::parse(&token).unwrap();
            assert!(read.project == id && read.is(&known));
            let other = ProjectToken::parse(&other).unwrap();
            assert!(other.project == id && !other.is(&known));
            let flipped = if token.ends_with('0') { "1" } else { "0" };
            let near = ProjectToken::parse(&format!("{}{flipped}", &token[..token.len() - 1])).unwrap();
            assert!(!near.is(&known));
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let secret = "0a".repeat(32);
        assert!(ProjectToken::parse(&format!("sk-p-{secret}")).is_some());
        for bad in [
            String::new(),
            "sk-".to_owned(),
            "sk-x".to_owned(),
            "sk-proj-x".to_owned(),
            "__root__".to_owned(),
            secret.clone(),
            format!("sk-{secret}"),
            format!("sk--{secret}"),
            format!("sk-p-{}", &secret[1..]),
            format!("sk-p-{secret}0"),
            format!("sk-p-{}", secret.to_uppercase()),
            format!("sk-p-{}é", &secret[2..]),
            format!("SK-p-{secret}"),
            format!("sk-p.q-{secret}"),
            format!("sk-p q-{secret}"),
            format!("sk-é-{secret}"),
            format!("sk-{}-{secret}", "x".repeat(65)),
        ] {
            assert!(ProjectToken::parse(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let (token, known) = make(&"p".into()).unwrap();
        let (_, secret) = token.rsplit_once('-').unwrap();
        assert_eq!(secret.len(), 64);
        let shown = format!("{:?} {known:?}", ProjectToken::parse(&token).unwrap());
        assert_eq!(shown, "ProjectToken(sk-p-…) TokenHash(…)");
    }
}
