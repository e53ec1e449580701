//! Zigzag variable-length integers, as in Protocol Buffers.

pub(crate) fn put(into: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        into.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    into.push((rest & 0x7f) as u8);
}

/// How many bytes [`put`] takes.
pub(crate) fn len(value: i64) -> usize {
    let bits = u64::BITS - (zigzag(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// A length, which no buffer lets grow beyond an `i64`.
pub(crate) fn put_len(into: &mut Vec<u8>, length: usize) {
    put(into, signed(length));
}

pub(crate) fn len_of_len(length: usize) -> usize {
    len(signed(length))
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{len, put};

    #[test]
    fn the_examples_of_protocol_buffers_hold() {
        for (value, bytes) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (150, &[0xac, 2]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut written = Vec::new();
            put(&mut written, value);
            assert_eq!(written, bytes, "{value}");
        }
    }

    proptest! {
        #[test]
        fn the_length_is_known_before_it_is_written(value in any::<i64>()) {
            let mut written = Vec::new();
            put(&mut written, value);
            prop_assert_eq!(written.len(), len(value));
        }
    }
}
