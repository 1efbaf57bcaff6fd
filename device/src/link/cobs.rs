//! Consistent overhead byte stuffing (Cheshire and Baker 1999): bytes without a zero among them. The crates that do it index
//! slices where the compiler cannot see that they may; here nothing can panic.

/// Packs bytes and returns how many they became; none when they do not fit.
pub(super) fn pack(bytes: &[u8], packed: &mut [u8]) -> Option<usize> {
    // The place of the count that is not known yet, and the next byte's.
    let (mut count_at, mut next) = (0, 1);
    let mut count = 1u8;
    *packed.first_mut()? = count;
    for &byte in bytes {
        if byte != 0 {
            *packed.get_mut(next)? = byte;
            next += 1;
            count += 1;
        }
        *packed.get_mut(count_at)? = count;
        if byte == 0 || count == 0xff {
            (count_at, count) = (next, 1);
            *packed.get_mut(next)? = count;
            next += 1;
        }
    }
    Some(next)
}

/// Unpacks bytes in their place and returns how many they are; none when they are not packed.
pub(super) fn unpack(bytes: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while from < bytes.len() {
        let count = *bytes.get(from)?;
        let run = from + 1..from + usize::from(count.max(1));
        let len = run.len();
        if count == 0 || run.end > bytes.len() || bytes.get(run.clone())?.contains(&0) {
            return None;
        }
        for (at, place) in run.zip(to..) {
            *bytes.get_mut(place)? = *bytes.get(at)?;
        }
        from += 1 + len;
        to += len;
        // The zero that a full count does not stand for, and neither does the last.
        if count < 0xff && from < bytes.len() {
            *bytes.get_mut(to)? = 0;
            to += 1;
        }
    }
    Some(to)
}
