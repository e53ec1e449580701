//! Whoever asks, once they are known.

use uuid::Uuid;

use crate::Role;

/// In headers, in events, in logs.
const NAME_CHARS_MAX: usize = 64;
/// OpenID Connect allows as many (Core 1.0, section 2).
const SUBJECT_CHARS_MAX: usize = 255;

/// Somebody with roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    actor: String,
    roles: Vec<Role>,
    customer: Option<Uuid>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    #[error("a principal's name has 1 to 64 of a–z, 0–9, `.`, `_` and `-`, and begins with a letter")]
    Name,
    #[error("a token's subject has 1 to 255 visible ASCII characters")]
    Subject,
    #[error("a principal without a role may do nothing: give it one")]
    NoRole,
    #[error("who has the role customer is one customer, and has no other role")]
    Customer,
}

impl Principal {
    /// Who has a key with this name. `customer` says which one, for the role of this name, and for no other.
    pub fn of_key(name: &str, roles: Vec<Role>, customer: Option<Uuid>) -> Result<Self, PrincipalError> {
        let is_letter = |byte: u8| byte.is_ascii_lowercase();
        let is_part = |byte: u8| is_letter(byte) || byte.is_ascii_digit() || b"._-".contains(&byte);
        let bytes = name.as_bytes();
        if bytes.len() > NAME_CHARS_MAX
            || !bytes.first().copied().is_some_and(is_letter)
            || !bytes.iter().copied().all(is_part)
        {
            return Err(PrincipalError::Name);
        }
        // Two customers may well have the same name: what they ask is each one's own.
        let actor = customer.map_or_else(|| format!("api:{name}"), |customer| format!("customer:{customer}"));
        Self::new(actor, roles, customer)
    }

    /// Of whom an identity provider says this.
    pub fn of_token(subject: &str, roles: Vec<Role>, customer: Option<Uuid>) -> Result<Self, PrincipalError> {
        let is_visible = subject.bytes().all(|byte| byte.is_ascii_graphic());
        if subject.is_empty() || subject.len() > SUBJECT_CHARS_MAX || !is_visible {
            return Err(PrincipalError::Subject);
        }
        Self::new(format!("oidc:{subject}"), roles, customer)
    }

    fn new(actor: String, roles: Vec<Role>, customer: Option<Uuid>) -> Result<Self, PrincipalError> {
        if roles.is_empty() {
            return Err(PrincipalError::NoRole);
        }
        let is_customer = roles.contains(&Role::Customer);
        if is_customer != customer.is_some() || is_customer && roles != [Role::Customer] {
            return Err(PrincipalError::Customer);
        }
        Ok(Self { actor, roles, customer })
    }

    /// Whom the events name that follow from what they ask, and whose the idempotency keys are. It stays when keys change.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// Whose accounts, and what follows from them, are all that they see. None: it is not about that who sees what.
    pub fn customer(&self) -> Option<Uuid> {
        self.customer
    }

    pub fn has_one_of(&self, roles: &[Role]) -> bool {
        self.roles.iter().any(|role| roles.contains(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_somebody_else_than_a_key_of_the_same_name() {
        let made = |subject: &str| Principal::of_token(subject, vec![Role::Service], None);
        assert_eq!(made("auth0|1A").unwrap().actor(), "oidc:auth0|1A");
        assert_eq!(Principal::of_key("a", vec![Role::Service], None).unwrap().actor(), "api:a");
        let ada = Principal::of_key("a", vec![Role::Customer], Some(Uuid::nil())).unwrap();
        assert_eq!(ada.actor(), "customer:00000000-0000-0000-0000-000000000000");
        for subject in ["", "a b", "ä", &"a".repeat(256)] {
            assert_eq!(made(subject), Err(PrincipalError::Subject), "{subject}");
        }
    }

    #[test]
    fn a_principal_has_a_name_and_roles_and_a_customer_is_nothing_else() {
        let made =
            |name: &str, roles: &[Role], customer| Principal::of_key(name, roles.to_vec(), customer).err();
        for name in ["", "Checkout", "1st", "a b", "ä", &"a".repeat(65)] {
            assert_eq!(made(name, &[Role::Service], None), Some(PrincipalError::Name), "{name}");
        }
        assert_eq!(made("a", &[], None), Some(PrincipalError::NoRole));
        assert_eq!(made("a", &[Role::Operator, Role::Approver], None), None);
        assert_eq!(made("ada", &[Role::Customer], Some(Uuid::nil())), None);
        for (roles, customer) in [
            (&[Role::Customer][..], None),
            (&[Role::Service], Some(Uuid::nil())),
            (&[Role::Customer, Role::Service], Some(Uuid::nil())),
            (&[Role::Customer, Role::Customer], Some(Uuid::nil())),
        ] {
            assert_eq!(made("ada", roles, customer), Some(PrincipalError::Customer), "{roles:?}");
        }
    }
}
