//! Powers to the last digit as V8 has them, which neither the machine's library gives nor exact rounding.
//!
//! The method and its constants are those of fdlibm's `e_pow.c`: "Copyright (C) 2004 by Sun Microsystems, Inc. All rights reserved.
//! Permission to use, copy, modify, and distribute this software is freely granted, provided that this notice is preserved."

/// A number to the power of another.
pub(crate) fn raise(base: f64, exponent: f64) -> f64 {
    if exponent.is_nan() || base.abs() == 1.0 && exponent.is_infinite() {
        // JavaScript has no number for one to the power of what is none.
        return f64::NAN;
    }
    if base == 0.0 || base.abs() == 1.0 || exponent == 0.0 || !base.is_finite() || !exponent.is_finite() {
        return base.powf(exponent);
    }
    if exponent == 1.0 {
        return base;
    } else if exponent == -1.0 {
        return 1.0 / base;
    } else if exponent == 2.0 {
        return base * base;
    } else if exponent == 0.5 && base > 0.0 {
        return base.sqrt();
    }
    if base < 0.0 && exponent.trunc() != exponent {
        return f64::NAN;
    }
    let sign = if base < 0.0 && (exponent % 2.0).abs() == 1.0 { -1.0 } else { 1.0 };
    let amount = base.abs();
    // The product in two parts, of which the first has 32 bits less.
    let (log, log_rest) = if exponent.abs() > 2_147_483_648.0 {
        // Where the logarithm is not tiny, the power is endless or nothing.
        let limit = if (amount < 1.0) == (exponent < 0.0) { f64::INFINITY } else { 0.0 };
        if amount < f64::from_bits(0x3fef_ffff_0000_0000) || amount.to_bits() >> 32 > 0x3ff0_0000 || exponent.abs() > 1.8446744073709552e19
        {
            return sign * limit;
        }
        log2_near_one(amount)
    } else {
        log2(amount)
    };
    let whole = high(exponent);
    let rest = (exponent - whole) * log + exponent * log_rest;
    sign * exp2(whole * log, rest)
}

/// A number without the lower 32 of its bits.
fn high(value: f64) -> f64 {
    f64::from_bits(value.to_bits() & 0xffff_ffff_0000_0000)
}

/// The logarithm to base 2 of a number that differs from 1 by less than a millionth, in two parts.
fn log2_near_one(value: f64) -> (f64, f64) {
    // 1 / ln 2; the same with 24 bits; and what that leaves.
    const SCALE: f64 = f64::from_bits(0x3ff7_1547_652b_82fe);
    const SCALE_HIGH: f64 = f64::from_bits(0x3ff7_1547_6000_0000);
    const SCALE_LOW: f64 = f64::from_bits(0x3e54_ae0b_f85d_df44);
    let t = value - 1.0;
    let w = (t * t) * (0.5 - t * (1.0 / 3.0 - t * 0.25));
    let u = SCALE_HIGH * t;
    let v = t * SCALE_LOW - w * SCALE;
    let log = high(u + v);
    (log, v - (log - u))
}

/// The logarithm to base 2 of a positive number, in two parts.
fn log2(value: f64) -> (f64, f64) {
    // 2 / (3 ln 2); the same with 24 bits; and what that leaves.
    const SCALE: f64 = f64::from_bits(0x3fee_c709_dc3a_03fd);
    const SCALE_HIGH: f64 = f64::from_bits(0x3fee_c709_e000_0000);
    const SCALE_LOW: f64 = f64::from_bits(0xbe3e_2fe0_145b_01f5);
    // Of 3/2 * (ln x - 2s - 2/3 s^3), with s = (x - 1) / (x + 1).
    const SERIES: [f64; 6] = [
        f64::from_bits(0x3fe3_3333_3333_3303),
        f64::from_bits(0x3fdb_6db6_db6f_abff),
        f64::from_bits(0x3fd5_5555_518f_264d),
        f64::from_bits(0x3fd1_7460_a91d_4101),
        f64::from_bits(0x3fcd_864a_93c9_db65),
        f64::from_bits(0x3fca_7e28_4a45_4eef),
    ];
    // The logarithm of 1.5, in two parts.
    const LOG_HIGH: f64 = f64::from_bits(0x3fe2_b803_4000_0000);
    const LOG_LOW: f64 = f64::from_bits(0x3e4c_fdeb_43cf_d006);

    let is_subnormal = value < f64::MIN_POSITIVE;
    let value = if is_subnormal { value * 9_007_199_254_740_992.0 } else { value };
    let word = (value.to_bits() >> 32) as i32;
    let mut power = (word >> 20) - 0x3ff - if is_subnormal { 53 } else { 0 };
    let fraction = word & 0x000f_ffff;
    let mut word = fraction | 0x3ff0_0000;
    // Reduced to what is near 1, or near 1.5.
    let is_near_middle = (0x3988f..0xbb67a).contains(&fraction);
    if fraction >= 0xbb67a {
        power += 1;
        word -= 0x0010_0000;
    }
    let value = f64::from_bits(value.to_bits() & 0xffff_ffff | (word as u64) << 32);
    let (middle, log_high, log_low) = if is_near_middle { (1.5, LOG_HIGH, LOG_LOW) } else { (1.0, 0.0, 0.0) };

    let u = value - middle;
    let v = 1.0 / (value + middle);
    let s = u * v;
    let s_high = high(s);
    let sum_high = f64::from_bits(((((word >> 1) | 0x2000_0000) + 0x0008_0000 + (i32::from(is_near_middle) << 18)) as u64) << 32);
    let sum_low = value - (sum_high - middle);
    let s_low = v * ((u - s_high * sum_high) - s_high * sum_low);
    let square = s * s;
    let [a, b, c, d, e, f] = SERIES;
    let rest = square * square * (a + square * (b + square * (c + square * (d + square * (e + square * f))))) + s_low * (s_high + s);
    let square = s_high * s_high;
    let t_high = high(3.0 + square + rest);
    let t_low = rest - ((t_high - 3.0) - square);
    let u = s_high * t_high;
    let v = s_low * t_high + t_low * s;
    let p_high = high(u + v);
    let p_low = v - (p_high - u);
    let z_high = SCALE_HIGH * p_high;
    let z_low = SCALE_LOW * p_high + p_low * SCALE + log_low;
    let power = f64::from(power);
    let log = high(((z_high + z_low) + log_high) + power);
    (log, z_low - (((log - power) - log_high) - z_high))
}

/// Two to the power of a number in two parts.
fn exp2(mut whole: f64, rest: f64) -> f64 {
    const LN2: f64 = f64::from_bits(0x3fe6_2e42_fefa_39ef);
    const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e43_0000_0000);
    const LN2_LOW: f64 = f64::from_bits(0xbe20_5c61_0ca8_6c39);
    const SERIES: [f64; 5] = [
        f64::from_bits(0x3fc5_5555_5555_553e),
        f64::from_bits(0xbf66_c16c_16be_bd93),
        f64::from_bits(0x3f11_566a_af25_de2c),
        f64::from_bits(0xbebb_bd41_c5d2_6bf1),
        f64::from_bits(0x3e66_3769_72be_a4d0),
    ];
    // Half the last digit of the largest number.
    const OVERFLOW: f64 = 8.008_566_259_537_294e-17;

    let sum = rest + whole;
    if sum > 1024.0 || sum == 1024.0 && rest + OVERFLOW > sum - whole {
        return f64::INFINITY;
    }
    if sum < -1075.0 || sum == -1075.0 && rest <= sum - whole {
        return 0.0;
    }
    let mut power = 0.0;
    if high(sum).abs() > 0.5 {
        power = (high(sum).abs() + 0.5).floor().copysign(sum);
        whole -= power;
    }
    let t = high(rest + whole);
    let u = t * LN2_HIGH;
    let v = (rest - (t - whole)) * LN2 + t * LN2_LOW;
    let z = u + v;
    let w = v - (z - u);
    let t = z * z;
    let [a, b, c, d, e] = SERIES;
    let series = z - t * (a + t * (b + t * (c + t * (d + t * e))));
    // Here V8 closes a bracket later than fdlibm does, and is off by a digit for it.
    let r = (z * series) / ((series - 2.0) - (w + z * w));
    let result = 1.0 - (r - z);
    let power = power as i64;
    if (result.to_bits() >> 52) as i64 + power <= 0 {
        // Made small in two steps, of which only the second rounds.
        let exact = f64::from_bits(result.to_bits().wrapping_add_signed((power + 54) << 52));
        return exact * f64::from_bits((1023 - 54) << 52);
    }
    f64::from_bits(result.to_bits().wrapping_add_signed(power << 52))
}
