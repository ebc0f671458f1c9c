//! The text of a query, taken apart just far enough to tell parameters from everything that looks like one.

use super::database::Dialect;

/// The parameter that is the mark of an incremental run, less its lag.
pub const WATERMARK: &str = "watermark";

/// A query with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Its parts, in order.
    pub pieces: Vec<Piece>,
}

/// A part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// SQL as it is.
    Sql(String),
    /// `:name`.
    Parameter(String),
}

impl Query {
    /// Finds the parameters of one statement; a `;` at its end is left out.
    ///
    /// `:name` within texts, quoted names and comments is no parameter, nor are `::type`, `:=` and `\:name`, which stands for `:name`.
    ///
    /// # Errors
    /// What is wrong with it: nothing in it, a second statement, a text without an end, a placeholder of the database's own.
    pub fn parse(sql: &str, dialect: Dialect) -> Result<Self, String> {
        let mut lexer = Lexer { sql, at: 0, dialect, pieces: Vec::new(), from: 0, end: None, empty: true };
        lexer.run()?;
        Ok(Self { pieces: lexer.pieces })
    }

    /// Names of its parameters, each once, in the order of their first use.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for piece in &self.pieces {
            if let Piece::Parameter(name) = piece
                && !names.contains(&name.as_str())
            {
                names.push(name.as_str());
            }
        }
        names
    }
}

struct Lexer<'a> {
    sql: &'a str,
    at: usize,
    dialect: Dialect,
    pieces: Vec<Piece>,
    /// Where the SQL starts that is not in `pieces` yet.
    from: usize,
    /// Where the statement ended.
    end: Option<usize>,
    /// Whether there is nothing but blanks and comments so far.
    empty: bool,
}

impl<'a> Lexer<'a> {
    fn run(&mut self) -> Result<(), String> {
        let (mysql, postgres) = (self.dialect == Dialect::Mysql, self.dialect == Dialect::Postgres);
        while let Some(byte) = self.byte(0) {
            match byte {
                _ if byte.is_ascii_whitespace() => self.at += 1,
                b'-' if self.byte(1) == Some(b'-') => self.line_comment(),
                b'#' if mysql => self.line_comment(),
                b'/' if self.byte(1) == Some(b'*') => self.block_comment()?,
                b';' => {
                    self.end.get_or_insert(self.at);
                    self.at += 1;
                }
                _ if self.end.is_some() => return Err("has more than one statement".into()),
                _ => {
                    self.empty = false;
                    match byte {
                        b'\'' => self.quoted(b'\'', mysql || postgres && self.is_after_e())?,
                        b'"' => self.quoted(b'"', mysql)?,
                        b'`' if !postgres => self.quoted(b'`', false)?,
                        b'[' if matches!(self.dialect, Dialect::Sqlite | Dialect::Mssql) => self.bracketed()?,
                        b'$' if postgres => self.dollar()?,
                        b'?' if !postgres => return Err("has a placeholder `?`, but parameters are written `:name`".into()),
                        b'\\' if self.byte(1) == Some(b':') => {
                            self.cut(self.at, self.at + 1);
                            self.at += 2;
                        }
                        b':' => self.colon(),
                        _ if is_word(byte) => self.word(),
                        _ => self.at += 1,
                    }
                }
            }
        }
        if self.empty {
            return Err("is empty".into());
        }
        let end = self.end.unwrap_or(self.sql.len());
        self.cut(end, end);
        Ok(())
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.sql.as_bytes().get(self.at + ahead).copied()
    }

    /// Puts the SQL up to `to` into the pieces; more follows at `next`.
    fn cut(&mut self, to: usize, next: usize) {
        if to > self.from {
            let text = &self.sql[self.from..to];
            match self.pieces.last_mut() {
                Some(Piece::Sql(last)) => last.push_str(text),
                _ => self.pieces.push(Piece::Sql(text.to_owned())),
            }
        }
        self.from = next;
    }

    fn word(&mut self) {
        while self.byte(0).is_some_and(|byte| is_word(byte) || byte == b'$') {
            self.at += 1;
        }
    }

    fn line_comment(&mut self) {
        self.at = self.sql[self.at..].find('\n').map_or(self.sql.len(), |end| self.at + end);
    }

    fn block_comment(&mut self) -> Result<(), String> {
        let mut depth = 0;
        loop {
            match (self.byte(0), self.byte(1)) {
                // Only PostgreSQL has comments within comments.
                (Some(b'/'), Some(b'*')) if depth == 0 || self.dialect == Dialect::Postgres => (depth, self.at) = (depth + 1, self.at + 2),
                (Some(b'*'), Some(b'/')) => {
                    (depth, self.at) = (depth - 1, self.at + 2);
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err("has a comment without an end".into()),
            }
        }
    }

    /// A text or a quoted name; the quote in it is doubled or, where that counts, stands behind a backslash.
    fn quoted(&mut self, quote: u8, backslash: bool) -> Result<(), String> {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            self.at += 1;
            if byte == b'\\' && backslash {
                self.at += 1;
            } else if byte == quote {
                if self.byte(0) != Some(quote) {
                    return Ok(());
                }
                self.at += 1;
            }
        }
        Err(format!("has a `{}` without its end", char::from(quote)))
    }

    fn bracketed(&mut self) -> Result<(), String> {
        let end = self.sql[self.at..].find(']').ok_or("has a `[` without its end")?;
        self.at += end + 1;
        Ok(())
    }

    /// Whether the quote here belongs to an `E'…'` of PostgreSQL, in which backslashes count.
    fn is_after_e(&self) -> bool {
        let before = &self.sql.as_bytes()[..self.at];
        let is_e = before.last().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'e'));
        is_e && !before.len().checked_sub(2).is_some_and(|index| is_word(before[index]))
    }

    /// `$tag$ … $tag$` of PostgreSQL.
    fn dollar(&mut self) -> Result<(), String> {
        if self.byte(1).is_some_and(|byte| byte.is_ascii_digit()) {
            return Err("has a placeholder `$1`, but parameters are written `:name`".into());
        }
        let rest = &self.sql[self.at + 1..];
        let length = rest.bytes().take_while(|byte| is_word(*byte)).count();
        if rest.as_bytes().get(length) != Some(&b'$') {
            self.at += 1;
            return Ok(());
        }
        let tag = &self.sql[self.at..self.at + length + 2];
        let body = self.at + tag.len();
        let end = self.sql[body..].find(tag).ok_or_else(|| format!("has a `{tag}` without its end"))?;
        self.at = body + end + tag.len();
        Ok(())
    }

    fn colon(&mut self) {
        match self.byte(1) {
            Some(b':' | b'=') => self.at += 2,
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let name: &str = &self.sql[self.at + 1..];
                let length = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
                let name = name[..length].to_owned();
                let end = self.at + 1 + length;
                self.cut(self.at, end);
                self.pieces.push(Piece::Parameter(name));
                self.at = end;
            }
            _ => self.at += 1,
        }
    }
}

/// Letters, digits, `_`, and all bytes of letters beyond ASCII.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The query with `<name>` in place of its parameters.
    fn shown(sql: &str, dialect: Dialect) -> String {
        let show = |piece: &Piece| match piece {
            Piece::Sql(sql) => sql.clone(),
            Piece::Parameter(name) => format!("<{name}>"),
        };
        Query::parse(sql, dialect).unwrap().pieces.iter().map(show).collect()
    }

    #[test]
    fn parameters_are_told_from_texts_names_comments_casts_and_assignments() {
        for (sql, expected) in [
            ("SELECT * FROM t WHERE a = :a AND b=:b_1;", "SELECT * FROM t WHERE a = <a> AND b=<b_1>"),
            (
                "SELECT ':a', 'it''s :a', \":a\" FROM t -- :a\n WHERE /* :a /* :a */ :a */ b = :a",
                "SELECT ':a', 'it''s :a', \":a\" FROM t -- :a\n WHERE /* :a /* :a */ :a */ b = <a>",
            ),
            ("SELECT a::text, :a::int, b[1:2]", "SELECT a::text, <a>::int, b[1:2]"),
            ("SELECT $$ :a $$, $q$ :a $$ $q$, :a", "SELECT $$ :a $$, $q$ :a $$ $q$, <a>"),
            ("SELECT E'\\' :a', type'\\', :a", "SELECT E'\\' :a', type'\\', <a>"),
            ("SELECT a FROM t WHERE x = '10\\:30' AND y = b[\\:n] ;\n-- end\n", "SELECT a FROM t WHERE x = '10\\:30' AND y = b[:n] "),
            ("SELECT 'ä:b', ä:c", "SELECT 'ä:b', ä<c>"),
            ("SELECT data ? 'key'", "SELECT data ? 'key'"),
        ] {
            assert_eq!(shown(sql, Dialect::Postgres), expected);
        }
        assert_eq!(shown("SELECT '\\' :a', `:a`, @n := 1, :b # :a", Dialect::Mysql), "SELECT '\\' :a', `:a`, @n := 1, <b> # :a");
        assert_eq!(shown("SELECT [:a], '\\', :b", Dialect::Sqlite), "SELECT [:a], '\\', <b>");
        assert_eq!(Query::parse("SELECT :b, :a, :b", Dialect::Sqlite).unwrap().names(), ["b", "a"]);
    }

    #[test]
    fn what_is_no_single_statement_or_has_no_end_is_refused() {
        for (sql, dialect, message) in [
            ("SELECT 1; DROP TABLE t", Dialect::Postgres, "has more than one statement"),
            ("SELECT 1;; ", Dialect::Postgres, ""),
            (" -- nothing\n;", Dialect::Mysql, "is empty"),
            ("SELECT 'a", Dialect::Sqlite, "has a `'` without its end"),
            ("SELECT $a$ $$", Dialect::Postgres, "has a `$a$` without its end"),
            ("SELECT /* a", Dialect::Mysql, "has a comment without an end"),
            ("SELECT $1", Dialect::Postgres, "has a placeholder `$1`, but parameters are written `:name`"),
            ("SELECT ?", Dialect::Sqlite, "has a placeholder `?`, but parameters are written `:name`"),
        ] {
            assert_eq!(Query::parse(sql, dialect).err().unwrap_or_default(), message, "{sql}");
        }
    }
}
