//! Small matters of language in what people read.

/// A number of things, such as `1 message` or `2 messages`.
pub(crate) fn counted(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "user")), ["0 users", "1 user", "2 users"]);
    }
}
