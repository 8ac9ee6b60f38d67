//! Reading a slice, by the parsers that read documents.

use prost::Message as _;

use super::{Slice, SliceError, encoded};
use crate::{
    CallerPattern, Condition, Operation, PathOptions, PolicySet, Timestamp, TrustDomain,
    spec::{
        AliasSpec, Callers, Enforcement, ExceptionSpec, FromSpec, MeshSpec, PolicySetSpec,
        RuleSpec, ServiceSpec, ToSpec, TrustSpec, WhenSpec,
    },
};

pub(super) fn read(bytes: &[u8]) -> Result<PolicySet, SliceError> {
    if bytes.len() > Slice::MAX_BYTES {
        return Err(SliceError::TooLarge);
    }
    let slice = encoded::Slice::decode(bytes).map_err(|_| SliceError::Encoding)?;
    // Fields of another version are skipped by the decoder, but may mean something.
    if slice.encode_to_vec() != bytes {
        return Err(SliceError::Encoding);
    }
    let documents = [
        Some(&slice.mesh),
        slice.service.as_ref().map(|one| &one.document),
    ];
    let rules = documents.into_iter().flatten();
    let rules = rules.flat_map(|document| document.allow.iter().chain(&document.deny));
    let ways = rules.map(|rule| rule.from.len().saturating_mul(rule.to.len()));
    if ways.fold(0, usize::saturating_add) > Slice::MAX_WAYS {
        return Err(SliceError::TooManyWays);
    }
    let mesh = mesh(&slice)?;
    let services = slice.service.map(service).transpose()?;
    let spec = PolicySetSpec {
        mesh: Some(mesh),
        services: services.into_iter().collect(),
    };
    PolicySet::build(spec).map_err(SliceError::Rules)
}

fn mesh(slice: &encoded::Slice) -> Result<MeshSpec, SliceError> {
    let domain = |name: &String| TrustDomain::parse(name).map_err(SliceError::TrustDomain);
    let own = everybody(&domain(&slice.trust_domain)?)?;
    let aliases = slice.aliases.iter().map(|other| {
        Ok(AliasSpec {
            other: domain(other)?,
            callers: vec![own.clone()],
        })
    });
    let (allow, deny) = rules(&slice.mesh, PathOptions::default())?;
    Ok(MeshSpec {
        name: slice.mesh.name.clone(),
        file: slice.mesh.file.clone(),
        unpolicied: enforcement(slice.unpolicied_shadow),
        identity: Enforcement::Enforce,
        trust: TrustSpec {
            aliases: aliases.collect::<Result<_, _>>()?,
            ..TrustSpec::default()
        },
        allow,
        deny,
    })
}

/// The pattern of everybody in a trust domain.
fn everybody(domain: &TrustDomain) -> Result<CallerPattern, SliceError> {
    CallerPattern::parse("/**", Some(domain)).map_err(SliceError::Pattern)
}

fn service(service: encoded::Service) -> Result<ServiceSpec, SliceError> {
    let paths = PathOptions {
        keep_encoded_slash: service.keep_encoded_slash,
        keep_parameters: service.keep_parameters,
        ignore_trailing_slash: service.ignore_trailing_slash,
    };
    let (allow, deny) = rules(&service.document, paths)?;
    Ok(ServiceSpec {
        name: service.document.name,
        file: service.document.file,
        services: Vec::new(),
        owner: service.owner,
        help: service.help,
        enforcement: enforcement(service.shadow),
        paths,
        keep_override_headers: service.keep_override_headers,
        allow,
        deny,
    })
}

const fn enforcement(shadow: bool) -> Enforcement {
    if shadow {
        Enforcement::Shadow
    } else {
        Enforcement::Enforce
    }
}

type Rules = (Vec<RuleSpec>, Vec<RuleSpec>);

fn rules(document: &encoded::Document, paths: PathOptions) -> Result<Rules, SliceError> {
    let read = |rules: &[encoded::Rule]| {
        let rules = rules.iter().map(|one| rule(one, paths));
        rules.collect::<Result<_, _>>()
    };
    Ok((read(&document.allow)?, read(&document.deny)?))
}

/// Texts and lines of entries are for who explains a refusal, so they are left out.
fn rule(rule: &encoded::Rule, paths: PathOptions) -> Result<RuleSpec, SliceError> {
    let from = rule.from.iter().map(|text| {
        Ok(FromSpec {
            line: 0,
            text: String::new(),
            callers: Callers::Pattern(CallerPattern::parse(text, None)?),
        })
    });
    let to = rule.to.iter().map(|text| {
        Ok(ToSpec {
            line: 0,
            text: String::new(),
            operation: Operation::parse(text, paths)?,
        })
    });
    let from = from.collect::<Result<_, _>>();
    let to = to.collect::<Result<_, _>>();
    Ok(RuleSpec {
        name: rule.name.clone(),
        line: rule.line,
        from: from.map_err(SliceError::Pattern)?,
        to: to.map_err(SliceError::Pattern)?,
        when: rule.when.as_ref().map(|when| WhenSpec {
            line: 0,
            text: String::new(),
            condition: Condition::elsewhere(when.captures.iter().cloned()),
        }),
        exception: rule.expires.map(|expires| ExceptionSpec {
            line: 0,
            expires: Timestamp::from_millis(expires),
        }),
        enforcement: enforcement(rule.shadow),
    })
}
