//! From tokens to an expression (CEL language definition, "Syntax"), with the place of
//! every part of it.
//!
//! Conditions are read by this parser and not by one for all of CEL: what is read while a
//! server reloads must be bounded in depth, and whoever wrote it wants to see the place.

use std::ops::Range;

use super::{
    ConditionFinding as Finding, ConditionFindingKind as Kind,
    lexer::{Token, TokenKind, tokens},
};

/// Bytes of a condition. What takes a page is a program, and belongs in the service.
const LONGEST: usize = 4_096;

/// Parts within each other. All that walks an expression calls itself for each.
const DEEPEST: usize = 32;

/// An expression.
#[derive(Clone, Debug)]
pub(super) struct Expr {
    pub(super) kind: ExprKind,
    /// All of it.
    pub(super) range: Range<usize>,
    /// How many parts stand within each other.
    depth: usize,
}

/// What an expression is.
#[derive(Clone, Debug)]
pub(super) enum ExprKind {
    Name(String),
    Bool(bool),
    Int(i64),
    Text(String),
    /// A literal of a type that no part of a request has.
    Foreign(&'static str),
    List(Vec<Expr>),
    /// A part of something, and where its name stands.
    Select(Box<Expr>, Word),
    Index(Box<[Expr; 2]>),
    Call {
        target: Option<Box<Expr>>,
        function: Word,
        arguments: Vec<Expr>,
    },
    /// `!` and `-`.
    Unary(&'static str, Box<Expr>),
    Binary(Sign, Box<[Expr; 2]>),
    /// `&&` or `||` of two or more.
    Logic(&'static str, Vec<Expr>),
    If(Box<[Expr; 3]>),
}

/// A name and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) range: Range<usize>,
}

/// An operator and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Sign {
    pub(super) text: &'static str,
    pub(super) range: Range<usize>,
}

/// Binary operators, those that bind least first, without `&&` and `||`.
const LEVELS: [&[&str]; 3] = [
    &["==", "!=", "<=", ">=", "<", ">", "in"],
    &["+", "-"],
    &["*", "/", "%"],
];

/// Words that CEL keeps for itself.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Parses `text`.
pub(super) fn parse(text: &str) -> Result<Expr, Finding> {
    if text.len() > LONGEST {
        let message = format!("the condition has more than {LONGEST} bytes");
        return Err(too_costly(0..text.len(), message));
    }
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
    };
    let expression = parser.expression()?;
    match parser.peek().kind {
        TokenKind::End => Ok(expression),
        _ => Err(parser.unexpected()),
    }
}

pub(super) fn too_costly(range: Range<usize>, message: String) -> Finding {
    let finding = Finding::new(Kind::TooCostly, range, message);
    finding.help("decide less here: what takes a program belongs in the service")
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

type Result<T, E = Finding> = std::result::Result<T, E>;

impl Parser {
    fn expression(&mut self) -> Result<Expr> {
        self.within(|parser| {
            let condition = parser.logic("||")?;
            if !parser.takes("?") {
                return Ok(condition);
            }
            let then = parser.logic("||")?;
            parser.wants(":")?;
            let otherwise = parser.expression()?;
            let range = condition.range.start..otherwise.range.end;
            let parts = [condition, then, otherwise];
            let depth = deepest(&parts);
            parser.made(ExprKind::If(Box::new(parts)), range, depth)
        })
    }

    /// `||`, and within it `&&`.
    fn logic(&mut self, sign: &'static str) -> Result<Expr> {
        let mut operands = Vec::new();
        loop {
            operands.push(match sign {
                "||" => self.logic("&&")?,
                _ => self.binary(0)?,
            });
            if !self.takes(sign) {
                break;
            }
        }
        match (operands.pop(), operands.first()) {
            (Some(only), None) => Ok(only),
            (Some(last), Some(first)) => {
                let range = first.range.start..last.range.end;
                operands.push(last);
                let depth = deepest(&operands);
                self.made(ExprKind::Logic(sign, operands), range, depth)
            }
            (None, _) => Err(self.unexpected()),
        }
    }

    fn binary(&mut self, level: usize) -> Result<Expr> {
        let Some(signs) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        while let Some(sign) = self.takes_one_of(signs) {
            let right = self.binary(level + 1)?;
            let range = left.range.start..right.range.end;
            let operands = [left, right];
            let depth = deepest(&operands);
            left = self.made(ExprKind::Binary(sign, Box::new(operands)), range, depth)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr> {
        let start = self.peek().range.start;
        if self.takes("!") {
            return self.negated("!", start);
        }
        if !self.takes("-") {
            return self.member();
        }
        // The smallest number has no positive counterpart.
        if let TokenKind::Int(number) = self.peek().kind {
            let range = start..self.peek().range.end;
            self.at += 1;
            let number = 0_i64.checked_sub_unsigned(number);
            let number = number.ok_or_else(|| too_large(range.clone()))?;
            return self.made(ExprKind::Int(number), range, 0);
        }
        self.negated("-", start)
    }

    fn negated(&mut self, sign: &'static str, start: usize) -> Result<Expr> {
        let operand = self.within(Self::unary)?;
        let (range, depth) = (start..operand.range.end, operand.depth);
        self.made(ExprKind::Unary(sign, Box::new(operand)), range, depth)
    }

    fn member(&mut self) -> Result<Expr> {
        let mut member = self.primary()?;
        loop {
            let start = member.range.start;
            if self.takes(".") {
                if self.is("?") {
                    return Err(self.optional());
                }
                let name = self.word()?;
                let range = start..name.range.end;
                let depth = member.depth;
                member = match self.takes("(") {
                    true => self.call(Some(member), name)?,
                    false => self.made(ExprKind::Select(Box::new(member), name), range, depth)?,
                };
            } else if self.takes("[") {
                if self.is("?") {
                    return Err(self.optional());
                }
                let index = self.expression()?;
                let range = start..self.wants("]")?.end;
                let parts = [member, index];
                let depth = deepest(&parts);
                member = self.made(ExprKind::Index(Box::new(parts)), range, depth)?;
            } else {
                return Ok(member);
            }
        }
    }

    fn primary(&mut self) -> Result<Expr> {
        let Token { kind, range } = self.peek().clone();
        let kind = match kind {
            TokenKind::Word(text) => return self.name(Word { text, range }),
            TokenKind::Sign("(") => {
                self.at += 1;
                let mut inner = self.expression()?;
                inner.range = range.start..self.wants(")")?.end;
                return Ok(inner);
            }
            TokenKind::Sign("[") => {
                self.at += 1;
                let (elements, end) = self.list("]")?;
                let depth = deepest(&elements);
                return self.made(ExprKind::List(elements), range.start..end, depth);
            }
            TokenKind::Int(number) => {
                let number = i64::try_from(number).map_err(|_| too_large(range.clone()))?;
                ExprKind::Int(number)
            }
            TokenKind::Text(text) => ExprKind::Text(text),
            TokenKind::Foreign(what) => ExprKind::Foreign(what),
            TokenKind::Sign(_) | TokenKind::End => return Err(self.unexpected()),
        };
        self.at += 1;
        self.made(kind, range, 0)
    }

    fn name(&mut self, word: Word) -> Result<Expr> {
        let kind = match &*word.text {
            "true" => ExprKind::Bool(true),
            "false" => ExprKind::Bool(false),
            "null" => ExprKind::Foreign("null"),
            reserved if RESERVED.contains(&reserved) => return Err(self.unexpected()),
            _ => ExprKind::Name(word.text.clone()),
        };
        self.at += 1;
        if matches!(kind, ExprKind::Name(_)) && self.takes("(") {
            return self.call(None, word);
        }
        self.made(kind, word.range, 0)
    }

    /// What stands behind the opening bracket of a call.
    fn call(&mut self, target: Option<Expr>, function: Word) -> Result<Expr> {
        let (arguments, end) = self.list(")")?;
        let start = target
            .as_ref()
            .map_or(function.range.start, |one| one.range.start);
        let of_target = target.as_ref().map_or(0, |one| one.depth);
        let depth = deepest(&arguments).max(of_target);
        let call = ExprKind::Call {
            target: target.map(Box::new),
            function,
            arguments,
        };
        self.made(call, start..end, depth)
    }

    /// Elements up to the bracket `close`, and where that ends.
    fn list(&mut self, close: &'static str) -> Result<(Vec<Expr>, usize)> {
        let mut elements = Vec::new();
        while !self.is(close) {
            elements.push(self.expression()?);
            if !self.takes(",") {
                break;
            }
        }
        Ok((elements, self.wants(close)?.end))
    }

    fn word(&mut self) -> Result<Word> {
        let Token { kind, range } = self.peek().clone();
        let TokenKind::Word(text) = kind else {
            return Err(self.unexpected());
        };
        self.at += 1;
        Ok(Word { text, range })
    }

    /// Goes one deeper, unless that is too deep.
    fn within(&mut self, parse: impl FnOnce(&mut Self) -> Result<Expr>) -> Result<Expr> {
        if self.depth >= DEEPEST {
            return Err(too_deep(self.peek().range.clone()));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn made(&self, kind: ExprKind, range: Range<usize>, depth: usize) -> Result<Expr> {
        if depth >= DEEPEST {
            return Err(too_deep(range));
        }
        let depth = depth + 1;
        Ok(Expr { kind, range, depth })
    }

    fn peek(&self) -> &Token {
        const END: &Token = &Token {
            kind: TokenKind::End,
            range: 0..0,
        };
        // The last token is the end, and nothing goes past it.
        self.tokens
            .get(self.at)
            .or(self.tokens.last())
            .unwrap_or(END)
    }

    fn is(&self, sign: &str) -> bool {
        match &self.peek().kind {
            TokenKind::Sign(seen) => *seen == sign,
            TokenKind::Word(word) => sign == "in" && word == "in",
            _ => false,
        }
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is = self.is(sign);
        self.at += usize::from(is);
        is
    }

    fn takes_one_of(&mut self, signs: &[&'static str]) -> Option<Sign> {
        let text = signs.iter().copied().find(|sign| self.is(sign))?;
        let range = self.peek().range.clone();
        self.at += 1;
        Some(Sign { text, range })
    }

    fn wants(&mut self, sign: &'static str) -> Result<Range<usize>> {
        let range = self.peek().range.clone();
        if self.takes(sign) {
            return Ok(range);
        }
        let finding = self.unexpected();
        Err(match finding.help {
            Some(_) => finding,
            None => finding.help(format!("a `{sign}` is missing")),
        })
    }

    fn optional(&self) -> Finding {
        let finding = Finding::new(
            Kind::Syntax,
            self.peek().range.clone(),
            "conditions have no optional values",
        );
        finding.help("a header that is absent reads as \"\"; `\"x-name\" in request.headers` says whether it is there")
    }

    /// The token that cannot stand where it does.
    fn unexpected(&self) -> Finding {
        let Token { kind, range } = self.peek();
        let (message, help) = match kind {
            TokenKind::End if self.at == 0 => ("the condition is empty".to_owned(), None),
            TokenKind::End => ("the condition ends where more is expected".to_owned(), None),
            TokenKind::Word(word) => (format!("`{word}` is not expected here"), in_cel(word)),
            TokenKind::Sign(sign) => (format!("`{sign}` is not expected here"), in_cel(sign)),
            TokenKind::Text(_) => ("a text is not expected here".to_owned(), None),
            TokenKind::Int(_) | TokenKind::Foreign(_) => {
                ("a literal is not expected here".to_owned(), None)
            }
        };
        let finding = Finding::new(Kind::Syntax, range.clone(), message);
        match help {
            Some(help) => finding.help(help),
            None => finding,
        }
    }
}

/// How CEL says what other languages say so.
fn in_cel(seen: &str) -> Option<&'static str> {
    Some(match seen {
        "=" | "is" | "eq" => "CEL compares with `==`",
        "and" | "AND" | "&" => "CEL says `&&`",
        "or" | "OR" => "CEL says `||`",
        "not" | "NOT" => "CEL says `!`",
        "if" => "CEL says `condition ? then : else`",
        "{" => "conditions have no maps",
        _ => return None,
    })
}

fn deepest(parts: &[Expr]) -> usize {
    parts.iter().map(|part| part.depth).max().unwrap_or(0)
}

fn too_deep(range: Range<usize>) -> Finding {
    too_costly(
        range,
        format!("the condition is nested more than {DEEPEST} deep"),
    )
}

fn too_large(range: Range<usize>) -> Finding {
    Finding::new(Kind::Syntax, range, "the number does not fit in 64 bits")
}
