//! The SPIFFE standards as vectors: `tests/conformance` has the tables, this mints what
//! they are about and puts it to Callgate, to the crate `spiffe` and to go-spiffe.

mod bundle;
mod der;
mod go;
mod mint;
mod subject;
mod table;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

pub use bundle::BundleInput;
pub use go::{GoAnswers, Unavailable, ask as ask_go};
pub use mint::{Mint, Minted};
pub use subject::{Subject, answers_of_callgate, answers_of_the_crate};
pub use table::{Difference, IdInput, Table, Vector};

const SPIFFE_ID: &str = include_str!("../../conformance/spiffe-id.yaml");
const X509_SVID: &str = include_str!("../../conformance/x509-svid.yaml");
const SPIFFE_BUNDLE: &str = include_str!("../../conformance/spiffe-bundle.yaml");

/// The trust domain whose bundle the documents of [`Vectors::bundles`] are.
pub const TRUST_DOMAIN: &str = "example.org";

/// What one implementation answers, by vector.
pub type Answers = BTreeMap<String, String>;

/// What one implementation answers to everything that it was asked.
#[derive(Clone, Debug, Default)]
pub struct AllAnswers {
    /// To the vectors of SPIFFE IDs.
    pub ids: Answers,
    /// To those of X.509-SVIDs.
    pub svids: Answers,
    /// To those of SPIFFE bundles.
    pub bundles: Answers,
}

/// All tables, and what they are about.
#[derive(Debug)]
pub struct Vectors {
    /// SPIFFE IDs.
    pub ids: Table<IdInput>,
    /// X.509-SVIDs.
    pub svids: Table<Mint>,
    /// SPIFFE bundles.
    pub bundles: Table<BundleInput>,
    /// The ID of each vector.
    pub texts: BTreeMap<String, String>,
    /// The certificates of each vector.
    pub minted: BTreeMap<String, Minted>,
    /// The document of each vector.
    pub documents: BTreeMap<String, String>,
}

impl Vectors {
    /// Reads the tables and mints everything, valid now.
    ///
    /// # Errors
    /// If a table is not what it should be, or something cannot be minted.
    pub fn mint() -> Result<Self> {
        let ids: Table<IdInput> = Table::parse(SPIFFE_ID).context("spiffe-id.yaml")?;
        let svids: Table<Mint> = Table::parse(X509_SVID).context("x509-svid.yaml")?;
        let bundles: Table<BundleInput> =
            Table::parse(SPIFFE_BUNDLE).context("spiffe-bundle.yaml")?;
        let roots = bundle::roots()?;
        Ok(Self {
            texts: ids.each(|input| Ok(input.text()))?,
            minted: svids.each(Mint::mint)?,
            documents: bundles.each(|input| input.document(&roots))?,
            ids,
            svids,
            bundles,
        })
    }

    /// All of it, for other programs.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let base64 = |der: &Vec<u8>| STANDARD.encode(der);
        let ids = self.ids.vectors.iter().map(|vector| {
            let id = self.texts.get(&vector.name);
            described(vector, json!({ "id": id }))
        });
        let svids = self.svids.vectors.iter().map(|vector| {
            let minted = self.minted.get(&vector.name).cloned().unwrap_or_default();
            let bundles: BTreeMap<_, Vec<String>> = minted
                .bundles
                .iter()
                .map(|(domain, roots)| (domain, roots.iter().map(base64).collect()))
                .collect();
            let chain: Vec<String> = minted.chain.iter().map(base64).collect();
            described(vector, json!({ "chain": chain, "bundles": bundles }))
        });
        let bundles = self.bundles.vectors.iter().map(|vector| {
            let document = self.documents.get(&vector.name);
            let named = json!({ "trustDomain": TRUST_DOMAIN, "document": document });
            described(vector, named)
        });
        json!({
            "spiffe-id": ids.collect::<Vec<_>>(),
            "x509-svid": svids.collect::<Vec<_>>(),
            "spiffe-bundle": bundles.collect::<Vec<_>>(),
        })
    }

    /// Everything that is not as the tables say of `answers`, which are `subject`'s: one
    /// line each.
    #[must_use]
    pub fn judge(&self, subject: Subject, answers: &AllAnswers) -> Vec<String> {
        [
            self.ids.judge(subject, &answers.ids),
            self.svids.judge(subject, &answers.svids),
            self.bundles.judge(subject, &answers.bundles),
        ]
        .concat()
    }
}

/// What every vector has, with `more`.
fn described<I>(vector: &Vector<I>, mut more: Value) -> Value {
    if let Value::Object(members) = &mut more {
        members.insert("name".to_owned(), json!(vector.name));
        members.insert("clause".to_owned(), json!(vector.clause));
        members.insert("expect".to_owned(), json!(vector.expect));
    }
    more
}
