//! Which subject may do what, and what it needs for it: the contract's subjects table.

use strongroom_audit::Rule;
use strongroom_core::Subject;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `POST /tokenize`
    Tokenize,
    /// `POST /detokenize`
    Detokenize,
    /// `POST /grant/set`
    GrantSet,
    /// `POST /grant/verify`
    GrantVerify,
    /// `POST /metadata/get`
    MetadataGet,
    /// `POST /metadata/set`
    MetadataSet,
    /// `POST /.lunasec/tokenize`
    SimpleTokenize,
    /// `POST /.lunasec/detokenize`: a grant to oneself for this one release, and the release.
    SimpleDetokenize,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 8] = [
        Self::Tokenize,
        Self::Detokenize,
        Self::GrantSet,
        Self::GrantVerify,
        Self::MetadataGet,
        Self::MetadataSet,
        Self::SimpleTokenize,
        Self::SimpleDetokenize,
    ];

    /// The word in audit entries and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokenize => "tokenize",
            Self::Detokenize => "detokenize",
            Self::GrantSet => "grant_set",
            Self::GrantVerify => "grant_verify",
            Self::MetadataGet => "metadata_get",
            Self::MetadataSet => "metadata_set",
            Self::SimpleTokenize => "simple_tokenize",
            Self::SimpleDetokenize => "simple_detokenize",
        }
    }

    /// Whether the subject may do it at all.
    pub fn allows(self, subject: Subject) -> bool {
        match self {
            Self::Tokenize | Self::Detokenize | Self::MetadataGet => true,
            Self::GrantSet | Self::GrantVerify | Self::SimpleTokenize | Self::SimpleDetokenize => {
                subject == Subject::Application
            }
            Self::MetadataSet => subject == Subject::Developer,
        }
    }

    /// Whether the subject needs a live grant for it.
    pub fn needs_grant(self, subject: Subject) -> bool {
        match self {
            Self::Detokenize => true,
            Self::MetadataGet => subject == Subject::User,
            Self::Tokenize
            | Self::GrantSet
            | Self::GrantVerify
            | Self::MetadataSet
            | Self::SimpleTokenize
            | Self::SimpleDetokenize => false,
        }
    }

    /// Whether it begins with a grant to the caller itself, good for this one release.
    pub(crate) fn grants_itself(self) -> bool {
        self == Self::SimpleDetokenize
    }

    /// Whether it hands out a key, which a vault with a doubtful clock does not.
    pub(crate) fn releases(self) -> bool {
        matches!(
            self,
            Self::Tokenize | Self::Detokenize | Self::SimpleTokenize | Self::SimpleDetokenize
        )
    }

    /// The rule that an allowing entry names.
    pub(crate) fn allow_rule(self, subject: Subject) -> Rule {
        if self.needs_grant(subject) || self.grants_itself() {
            Rule::Grant
        } else {
            Rule::Subject
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// A change of policy shows as a change of this table.
    const MATRIX: &str = "\
tokenize: user yes, application yes, developer yes
detokenize: user grant, application grant, developer grant
grant_set: user no, application yes, developer no
grant_verify: user no, application yes, developer no
metadata_get: user grant, application yes, developer yes
metadata_set: user no, application no, developer yes
simple_tokenize: user no, application yes, developer no
simple_detokenize: user no, application yes, developer no
";

    #[test]
    fn the_matrix_of_subjects_and_actions_is_the_contracts() {
        let mut table = String::new();
        for action in Action::ALL {
            let cell = |subject| match (action.allows(subject), action.needs_grant(subject)) {
                (false, _) => "no",
                (true, true) => "grant",
                (true, false) => "yes",
            };
            writeln!(
                table,
                "{}: user {}, application {}, developer {}",
                action.as_str(),
                cell(Subject::User),
                cell(Subject::Application),
                cell(Subject::Developer)
            )
            .unwrap();
        }
        assert_eq!(table, MATRIX);
    }
}
