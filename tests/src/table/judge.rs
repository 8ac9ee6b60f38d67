//! Whether what came out is what must come out.
//!
//! Beside what a row says, every answer is held to the whole of its form: statuses,
//! headers, body, what reaches the service.

use anyhow::{Result, bail, ensure};
use callgate_policy::Reason;
use serde_json::Value;

use super::{
    Answer, Bare, CallerSpec, Decided, Expect, Form, Forwarded, Got, Level, Parties, Place,
    Refusal, Row, Workloads,
};

impl Row {
    /// Holds `got` to what must come out at `place`.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn judge(&self, workloads: &Workloads, place: Place, got: &Got) -> Result<()> {
        let expect = self.expect(place);
        let case = Case {
            row: self,
            place,
            parties: self.parties(workloads, expect)?,
        };
        match (expect, got) {
            (Expect::Cannot, Got::Cannot) | (Expect::Reset, Got::Reset) => Ok(()),
            (Expect::Bare(status), Got::Refused(refusal)) => bare(*status, refusal),
            (Expect::Answer(answer), Got::Decided(decided)) => case.decided(answer, decided),
            (Expect::Answer(answer), Got::Forwarded(forwarded)) => {
                case.forwarded(answer, forwarded)
            }
            (Expect::Answer(answer), Got::Refused(refusal)) => case.refused(answer, refusal),
            (expect, got) => bail!("expected {expect}, got {got}"),
        }
    }

    /// Who called, as far as they are verified.
    fn parties(&self, workloads: &Workloads, expect: &Expect) -> Result<Parties> {
        let named = match expect {
            Expect::Answer(Answer { caller, .. }) => caller.as_deref(),
            _ => None,
        };
        let verified = |name: &str| -> Result<Option<String>> {
            let spec = workloads.caller(name)?;
            let identity = spec.map(CallerSpec::identity).transpose()?;
            Ok(identity.and_then(Result::ok).map(|id| id.to_string()))
        };
        let Some(via) = self.via.as_ref().filter(|_| named.is_none()) else {
            return Ok(Parties {
                source: verified(named.unwrap_or(&self.caller))?,
                forwarder: None,
            });
        };
        let original = match workloads.caller(&self.caller)? {
            Some(caller) => via.original(caller)?.ok(),
            None => None,
        };
        Ok(Parties {
            source: original.map(|id| id.to_string()),
            forwarder: verified(&via.peer)?,
        })
    }
}

/// Envoy's own answer says nothing in our name.
fn bare(status: Bare, refusal: &Refusal) -> Result<()> {
    let same = match status {
        Bare::Http(status) => refusal.http == Some(status),
        Bare::Grpc(status) => refusal.grpc == Some(status),
    };
    let ours = refusal
        .headers
        .0
        .iter()
        .any(|(name, _)| name.starts_with("x-callgate-"));
    ensure!(same && !ours, "expected {status}, got {refusal}");
    Ok(())
}

/// One row at one place.
struct Case<'r> {
    row: &'r Row,
    place: Place,
    parties: Parties,
}

impl Case<'_> {
    fn decided(&self, want: &Answer, got: &Decided) -> Result<()> {
        let same =
            (want.verdict, want.reason, want.enforced) == (got.verdict, got.reason, got.enforced);
        ensure!(same, "expected {want}, got {got}");
        if let Some(rule) = &want.rule {
            ensure!(
                got.rule.as_ref() == Some(rule),
                "expected {want}, got {got}"
            );
        }
        if let Some(miss) = &want.miss {
            let Some(near) = &got.miss else {
                bail!("expected a nearest miss, got {got}")
            };
            let rule = miss.rule.is_none() || miss.rule == near.rule;
            ensure!(
                rule && miss.clause == near.clause,
                "expected nearest {miss:?}, got {near:?}"
            );
        }
        Ok(())
    }

    fn forwarded(&self, want: &Answer, got: &Forwarded) -> Result<()> {
        ensure!(want.goes_on(), "expected {want}, but it went on");
        self.recorded(want, got.record.as_ref())?;
        self.callers_name(got)?;
        let id = got.headers.one("x-callgate-decision");
        ensure!(
            id.is_some_and(is_ulid),
            "the service sees no decision id but {id:?}"
        );
        self.headers(want, got)?;
        self.chain(got)?;
        self.path(want, got)
    }

    /// One verified ID, or none of an anonymous caller; and the same of its forwarder.
    fn callers_name(&self, got: &Forwarded) -> Result<()> {
        let Parties { source, forwarder } = &self.parties;
        for (name, wanted) in [
            ("x-callgate-caller", source),
            ("x-callgate-forwarder", forwarder),
        ] {
            let seen: Vec<&[u8]> = got.headers.all(name).collect();
            let wanted: Vec<&[u8]> = wanted.iter().map(String::as_bytes).collect();
            ensure!(
                seen == wanted,
                "the service sees `{name}` as {}",
                shown(&seen)
            );
        }
        Ok(())
    }

    /// What the filter asks, it cleans itself; an answer to it says nothing of that.
    fn headers(&self, want: &Answer, got: &Forwarded) -> Result<()> {
        if self.place == Place::server(Form::Ours) {
            return Ok(());
        }
        for (name, value) in &want.upstream {
            let seen: Vec<&[u8]> = got.headers.all(name).collect();
            let wanted: Vec<&[u8]> = value.iter().map(Vec::as_slice).collect();
            ensure!(
                seen == wanted,
                "the service sees `{name}` as {}",
                shown(&seen)
            );
        }
        Ok(())
    }

    /// The service sees what its own proxy says and, of a forwarder that is believed, what
    /// that one says: never anybody's chain. What the filter takes off by itself, an answer
    /// to it does not.
    fn chain(&self, got: &Forwarded) -> Result<()> {
        let name = "x-forwarded-client-cert";
        if self.place == Place::server(Form::Ours) {
            return Ok(());
        }
        for value in got.headers.all(name) {
            ensure!(
                !contains(value, b"Chain="),
                "the service sees the caller's chain"
            );
            let elements = value.windows(3).filter(|text| *text == b"By=").count();
            let wanted = 1 + usize::from(self.parties.forwarder.is_some());
            ensure!(
                elements == wanted,
                "the service sees `{name}` as `{}`",
                value.escape_ascii()
            );
        }
        Ok(())
    }

    /// What was decided is what is forwarded.
    fn path(&self, want: &Answer, got: &Forwarded) -> Result<()> {
        let sent = self.row.call.target.as_slice();
        let wanted = want.path.as_ref().map_or(sent, String::as_bytes);
        match &got.path {
            Some(path) if path != wanted => bail!("the service sees `{}`", path.escape_ascii()),
            _ => Ok(()),
        }
    }

    fn recorded(&self, want: &Answer, record: Option<&Decided>) -> Result<()> {
        let Some(record) = record else { return Ok(()) };
        self.decided(want, record)?;
        // Without an identity that counts, a record tells what is known of it.
        let of_identity = want.reason.as_str().starts_with("identity-");
        match &record.parties {
            Some(parties) if !of_identity && want.reason != Reason::PolicyUnavailable => {
                ensure!(
                    *parties == self.parties,
                    "expected {:?}, recorded {parties:?}",
                    self.parties
                );
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, want: &Answer, got: &Refusal) -> Result<()> {
        ensure!(!want.goes_on(), "expected {want}, got {got}");
        ensure!(
            got.headers.one("x-callgate-reason") == Some(want.reason.as_str()),
            "expected {want}, got {got}"
        );
        self.recorded(want, got.record.as_ref())?;
        self.statuses(want, got)?;
        let id = got.headers.one("x-callgate-decision");
        ensure!(id.is_some_and(is_ulid), "no decision id but {id:?}");
        ensure!(
            got.headers.one("x-callgate-caller").is_none(),
            "the caller is told its name"
        );
        if got.http.is_some() && !self.row.call.is_grpc() {
            self.problem(want, got, id)?;
        }
        Ok(())
    }

    /// The caller's own form on real Envoy, both below it.
    fn statuses(&self, want: &Answer, got: &Refusal) -> Result<()> {
        let (http, grpc) = (
            want.reason.http_status(),
            want.grpc.unwrap_or(want.reason.grpc_status()),
        );
        let expected = match (self.place.level, self.row.call.is_grpc()) {
            (Level::Envoy, true) => (None, Some(grpc)),
            (Level::Envoy, false) => (Some(http), None),
            _ => (Some(http), Some(grpc)),
        };
        ensure!(
            (got.http, got.grpc) == expected,
            "expected statuses {expected:?}, got {got}"
        );
        Ok(())
    }

    /// RFC 9457, and only what the caller may know.
    fn problem(&self, want: &Answer, got: &Refusal, id: Option<&str>) -> Result<()> {
        ensure!(
            got.headers.one("content-type") == Some("application/problem+json"),
            "not a problem: {got}"
        );
        if self.row.call.method == "HEAD" && self.place.level == Level::Envoy {
            ensure!(got.body.is_empty(), "a body for HEAD");
            return Ok(());
        }
        let body: Value = serde_json::from_slice(&got.body)?;
        let reason = want.reason.as_str();
        let expected = [
            ("type", Value::from(format!("urn:callgate:{reason}"))),
            ("reason", Value::from(reason)),
            ("status", Value::from(want.reason.http_status())),
            ("decision", Value::from(id)),
        ];
        for (field, value) in expected {
            ensure!(
                body.get(field) == Some(&value),
                "`{field}` is not {value} in {body}"
            );
        }
        let title = body.get("title").and_then(Value::as_str);
        ensure!(
            title.is_some_and(|title| !title.is_empty()),
            "no title in {body}"
        );
        self.told(want, &body)
    }

    /// Owner and help are for verified callers.
    fn told(&self, want: &Answer, body: &Value) -> Result<()> {
        for (field, wanted) in [("owner", &want.owner), ("help", &want.help)] {
            let seen = body
                .get(field)
                .map(|value| value.as_str().unwrap_or_default().to_owned());
            ensure!(
                self.parties.source.is_some() || seen.is_none(),
                "a caller without a name is told {seen:?}"
            );
            if let Some(wanted) = wanted {
                ensure!(seen == *wanted, "`{field}` is {seen:?}");
            }
        }
        Ok(())
    }
}

/// 26 characters of Crockford's base 32.
fn is_ulid(text: &str) -> bool {
    text.len() == 26
        && text
            .bytes()
            .all(|b| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".contains(&b))
}

fn contains(text: &[u8], what: &[u8]) -> bool {
    text.windows(what.len()).any(|window| window == what)
}

fn shown(values: &[&[u8]]) -> String {
    let values: Vec<String> = values
        .iter()
        .map(|v| format!("`{}`", v.escape_ascii()))
        .collect();
    if values.is_empty() {
        "absent".to_owned()
    } else {
        values.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use callgate_policy::Verdict;

    use super::*;
    use crate::table::{Headers, Protocol, Table};

    const ULID: &str = "01JD8M3Q000000000000000000";

    fn judged(file: &str, name: &str, place: Place, got: Got) -> Result<(), String> {
        let table = Table::load().unwrap();
        let row = table
            .rows
            .iter()
            .find(|row| row.file == file && row.name == name)
            .unwrap();
        row.judge(&table.workloads, place, &got)
            .map_err(|error| format!("{error:#}"))
    }

    fn forwarded(path: &str, headers: &[(&str, &str)]) -> Got {
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec()));
        Got::Forwarded(Box::new(Forwarded {
            path: Some(path.into()),
            headers: Headers(headers.collect()),
            record: None,
        }))
    }

    fn refused(http: u16, reason: &str) -> Got {
        let body = format!(
            r#"{{"type":"urn:callgate:{reason}","title":"no","status":{http},"reason":"{reason}","decision":"{ULID}"}}"#
        );
        let headers = [
            ("x-callgate-reason", reason),
            ("x-callgate-decision", ULID),
            ("content-type", "application/problem+json"),
        ];
        Got::Refused(Box::new(Refusal {
            http: Some(http),
            grpc: None,
            headers: Headers(headers.map(|(n, v)| (n.to_owned(), v.into())).into()),
            body: body.into_bytes(),
            record: None,
        }))
    }

    const CHECKOUT: (&str, &str) = (
        "x-callgate-caller",
        "spiffe://example.org/ns/shop/sa/checkout",
    );
    const ENVOY: Place = Place::envoy(Form::Ours, Protocol::Http1);

    #[test]
    fn a_call_that_goes_on_has_one_name_and_one_path() {
        let exact = |path, headers: &[_]| {
            judged(
                "identities.yaml",
                "exact identity",
                ENVOY,
                forwarded(path, headers),
            )
        };
        let decision = ("x-callgate-decision", ULID);
        assert_eq!(exact("/orders/7", &[CHECKOUT, decision]), Ok(()));
        for (path, headers) in [
            ("/orders/8", &[CHECKOUT, decision][..]),
            ("/orders/7", &[decision]),
            ("/orders/7", &[CHECKOUT, CHECKOUT, decision]),
            ("/orders/7", &[CHECKOUT]),
            (
                "/orders/7",
                &[
                    CHECKOUT,
                    decision,
                    ("x-forwarded-client-cert", "Chain=\"x\""),
                ],
            ),
        ] {
            assert!(exact(path, headers).is_err(), "{path} {headers:?}");
        }
        assert!(
            judged(
                "identities.yaml",
                "exact identity",
                ENVOY,
                refused(403, "no-rule")
            )
            .is_err()
        );
    }

    #[test]
    fn a_refusal_has_its_status_and_its_reason() {
        let row = ("paths-ambiguous.yaml", "an empty segment");
        assert_eq!(
            judged(row.0, row.1, ENVOY, refused(400, "path-ambiguous")),
            Ok(())
        );
        for got in [
            refused(403, "path-ambiguous"),
            refused(400, "no-rule"),
            Got::Reset,
        ] {
            assert!(judged(row.0, row.1, ENVOY, got.clone()).is_err(), "{got}");
        }
    }

    #[test]
    fn a_difference_that_has_healed_fails() {
        let row = ("paths-ambiguous.yaml", "a fragment");
        let answer = refused(400, "path-ambiguous");
        assert!(
            judged(row.0, row.1, Place::FILTER, answer.clone()).is_err(),
            "no gRPC status"
        );
        let healed = judged(row.0, row.1, ENVOY, answer).unwrap_err();
        assert!(healed.starts_with("expected Envoy's own 400"), "{healed}");
    }

    #[test]
    fn a_record_is_held_to_the_rule() {
        let mut got = forwarded("/orders/7", &[CHECKOUT, ("x-callgate-decision", ULID)]);
        let mut record = Decided {
            verdict: Verdict::Allow,
            reason: Reason::Allow,
            enforced: true,
            rule: Some("checkout-places-orders".to_owned()),
            miss: None,
            parties: None,
        };
        got.recorded(record.clone());
        assert_eq!(
            judged("identities.yaml", "exact identity", ENVOY, got.clone()),
            Ok(())
        );
        record.rule = Some("another".to_owned());
        got.recorded(record);
        assert!(judged("identities.yaml", "exact identity", ENVOY, got).is_err());
    }
}
