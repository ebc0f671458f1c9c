//! Days and weeks as JavaScript's dates count them, in UTC.

/// Milliseconds of a day.
pub(crate) const DAY: f64 = 86_400_000.0;

/// The last millisecond that JavaScript has a date for, and less the first.
const LAST: f64 = 8.64e15;

/// A moment's parts. Those of no date are all NaN, as in JavaScript.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    pub(crate) millis: f64,
    pub(crate) year: f64,
    /// From 0.
    pub(crate) month: f64,
    pub(crate) day: f64,
    pub(crate) hour: f64,
    pub(crate) minute: f64,
    pub(crate) second: f64,
    pub(crate) millisecond: f64,
}

impl Moment {
    pub(crate) fn of(millis: f64) -> Self {
        let millis = clip(millis);
        if millis.is_nan() {
            let none = f64::NAN;
            return Self { millis, year: none, month: none, day: none, hour: none, minute: none, second: none, millisecond: none };
        }
        let whole = millis as i64;
        let (days, rest) = (whole.div_euclid(86_400_000), whole.rem_euclid(86_400_000) as i32);
        let (year, month, day) = date_of(days);
        Self {
            millis,
            year: year as f64,
            month: f64::from(month),
            day: f64::from(day),
            hour: f64::from(rest / 3_600_000),
            minute: f64::from(rest / 60_000 % 60),
            second: f64::from(rest / 1000 % 60),
            millisecond: f64::from(rest % 1000),
        }
    }

    /// Monday is 1, Sunday 7.
    pub(crate) fn weekday(&self) -> f64 {
        // The first of January 1970 was a Thursday.
        ((self.millis / DAY).floor() + 3.0).rem_euclid(7.0) + 1.0
    }
}

/// A number of milliseconds that JavaScript has a date for, without fraction; else NaN.
fn clip(millis: f64) -> f64 {
    if millis.abs() <= LAST { millis.trunc() + 0.0 } else { f64::NAN }
}

/// The date of a day since 1970: the year, the month from 0, and the day; after Howard Hinnant, `chrono-Compatible Low-Level Date Algorithms`.
pub(crate) fn date_of(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 2, 0) } else { (month - 10, 1) };
    (year_of_era + era * 400 + next, month as u32, day as u32)
}

/// The day since 1970 of a year, a month from 0 and a day from 1.
pub(crate) fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month < 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 10) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// JavaScript's `Date.UTC`: parts may be beyond their ranges; the years 0 to 99 are of the last century.
pub(crate) fn utc(year: f64, month: f64, day: f64, time: [f64; 4]) -> f64 {
    if ![year, month, day].iter().chain(&time).all(|part| part.is_finite()) {
        return f64::NAN;
    }
    let [hour, minute, second, millisecond] = time.map(f64::trunc);
    let year = match year.trunc() {
        year if (0.0..=99.0).contains(&year) => year + 1900.0,
        year => year,
    };
    let years = year + (month.trunc() / 12.0).floor();
    if years.abs() > 400_000.0 {
        return f64::NAN;
    }
    let days = day_of(years as i64, month.trunc().rem_euclid(12.0) as i64, 1) as f64 + day.trunc() - 1.0;
    clip(days * DAY + hour * 3_600_000.0 + minute * 60_000.0 + second * 1000.0 + millisecond)
}

/// Midnight of a day, as `Date.UTC` has it.
pub(crate) fn midnight(year: f64, month: f64, day: f64) -> f64 {
    utc(year, month, day, [0.0; 4])
}

/// A month, or a year where the month is 0, as what weeks are counted in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) year: f64,
    pub(crate) month: f64,
}

impl Span {
    /// When its first week begins: a Monday, and the week has the span's first Thursday.
    pub(crate) fn first_week(self) -> f64 {
        let first = midnight(self.year, self.month, 1.0);
        let weekday = Moment::of(first).weekday();
        if weekday > 4.0 { first + (8.0 - weekday) * DAY } else { first - (weekday - 1.0) * DAY }
    }

    pub(crate) fn next_month(self) -> Self {
        if self.month == 11.0 { Self { year: self.year + 1.0, month: 0.0 } } else { Self { month: self.month + 1.0, ..self } }
    }

    pub(crate) fn previous_month(self) -> Self {
        if self.month == 0.0 { Self { year: self.year - 1.0, month: 11.0 } } else { Self { month: self.month - 1.0, ..self } }
    }

    pub(crate) fn next_year(self) -> Self {
        Self { year: self.year + 1.0, ..self }
    }

    pub(crate) fn previous_year(self) -> Self {
        Self { year: self.year - 1.0, ..self }
    }

    /// The week of the span that a day is in, where the last weeks may be the next span's first.
    pub(crate) fn week(self, today: f64, last: f64, next: Self, previous: Self) -> f64 {
        let weeks = |start: f64| (today - start) / (DAY * 7.0) + 1.0;
        let week = weeks(self.first_week());
        let week = if week > last {
            if today >= next.first_week() { 1.0 } else { week }
        } else if week < 1.0 {
            weeks(previous.first_week())
        } else {
            week
        };
        week.floor()
    }
}
