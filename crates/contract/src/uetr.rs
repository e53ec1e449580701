//! The unique end-to-end transaction reference (UETR) that goes with a payment through all banks.

use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// The UETR of a payment of ours. ISO 20022 wants a UUID of version 4, which our own ids are not: it follows from the
/// payment's id, so that each attempt has the same, and tells nothing of it.
pub fn uetr_of(payment_id: Uuid) -> Uuid {
    let mut bytes = [0; 16];
    let digest = Sha256::digest(payment_id.as_bytes());
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_random_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uetr_is_of_version_4_and_the_same_each_time() {
        let id = Uuid::from_u128(0x0198_c1f2_0000_7000_8000_0000_0000_0001);
        assert_eq!(uetr_of(id).get_version_num(), 4);
        assert_eq!(uetr_of(id).get_variant(), uuid::Variant::RFC4122);
        assert_eq!(uetr_of(id), uetr_of(id));
        assert_ne!(uetr_of(id), uetr_of(Uuid::nil()));
    }
}
