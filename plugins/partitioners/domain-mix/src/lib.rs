//! Domain mix: client i holds domain d at ratio rᵢ_d. All clients hold m examples, m being the most that
//! the domains allow: ⌊min_d N_d / Σᵢ rᵢ_d⌋, less what rounding takes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use folkmoot_sdk::split::{self, Group};
use folkmoot_sdk::{Dataset, Partitioner, Result, export_partitioner, log};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Every client holds domains at given ratios, and as many examples as the others. The scarcest domain
/// says how many; what the ratios leave over of the other domains is not used.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainMix {
    /// Column that holds the domain.
    #[serde(default = "column")]
    column: String,
    /// For each client its shares of the domains, which are scaled to sum to 1: a list with one per
    /// domain, domains in order, or a map from domain to share, where a domain left out has none. Without
    /// it client i has the main domain i, modulo their number.
    #[serde(default)]
    ratios: Option<Vec<Ratio>>,
    /// Share of a client's main domain; the others have equal shares of the rest. No effect with `ratios`.
    #[serde(default = "main")]
    #[schemars(range(min = 0.0, max = 1.0))]
    main: f64,
}
export_partitioner!(DomainMix);

/// The shares of one client.
#[derive(Clone, Deserialize, Serialize)]
#[serde(untagged)]
enum Ratio {
    /// One per domain.
    Listed(Vec<f64>),
    /// By name.
    Named(BTreeMap<String, f64>),
}

impl JsonSchema for Ratio {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Each of the last two keywords speaks of one of the two types only.
        json_schema!({
            "type": ["array", "object"],
            "items": { "type": "number", "minimum": 0 },
            "additionalProperties": { "type": "number", "minimum": 0 },
        })
    }
}

fn column() -> String {
    "domain".into()
}

fn main() -> f64 {
    0.8
}

impl Partitioner for DomainMix {
    fn partition(&self, data: &Dataset, clients: u32) -> Result<Vec<Vec<u32>>> {
        let mut domains = data.groups(&self.column)?;
        let shares = self.shares(&domains, clients as usize)?;
        split::shuffle(&mut domains, &mut data.rng());
        let counts = counts(&domains, &shares)?;
        let mut shards = vec![Vec::new(); shares.len()];
        for (at, domain) in domains.iter().enumerate() {
            let sizes: Vec<usize> = counts.iter().map(|own| own[at]).collect();
            for (shard, rows) in shards.iter_mut().zip(split::cut(&domain.rows, &sizes)) {
                shard.extend(rows);
            }
        }
        let (used, all) = (shards.iter().map(Vec::len).sum::<usize>(), data.examples());
        if used < all as usize {
            log("info", &format!("{used} of {all} examples are used"));
        }
        split::full(shards, "fewer clients, or other ratios")
    }
}

impl DomainMix {
    /// For each client its shares of the domains, which sum to 1.
    fn shares(&self, domains: &[Group], clients: usize) -> Result<Vec<Vec<f64>>> {
        let count = domains.len();
        let Some(ratios) = &self.ratios else {
            let rest = (1.0 - self.main) / count.saturating_sub(1).max(1) as f64;
            let share = |client: usize, domain| match domain == client % count {
                true => self.main,
                false => rest,
            };
            let client = |client| (0..count).map(|domain| share(client, domain)).collect();
            let shares = (0..clients).map(client).enumerate();
            return shares.map(|(client, own)| scaled(client, own)).collect();
        };
        if ratios.len() != clients {
            return Err(format!(
                "`ratios` are given for {} clients, but there are {clients}; give one list or map per client",
                ratios.len()
            ));
        }
        let shares = ratios.iter().enumerate();
        shares
            .map(|(client, ratio)| scaled(client, self.by_domain(client, ratio, domains)?))
            .collect()
    }

    /// The ratios of `client` in the order of the domains.
    fn by_domain(&self, client: usize, ratio: &Ratio, domains: &[Group]) -> Result<Vec<f64>> {
        let names: Vec<&str> = domains.iter().map(|domain| domain.name.as_str()).collect();
        let domains = names.join("`, `");
        match ratio {
            Ratio::Listed(ratios) if ratios.len() != names.len() => Err(format!(
                "`ratios` of client {client} are {}, but column `{}` has {} domains: `{domains}`; give one ratio per domain",
                ratios.len(),
                self.column,
                names.len()
            )),
            Ratio::Listed(ratios) => Ok(ratios.clone()),
            Ratio::Named(ratios) => {
                match ratios.keys().find(|name| !names.contains(&name.as_str())) {
                    Some(name) => Err(format!(
                        "`ratios` of client {client} name domain `{name}`, but column `{}` has `{domains}`",
                        self.column
                    )),
                    None => {
                        let ratio = |name: &&str| ratios.get(*name).copied().unwrap_or(0.0);
                        Ok(names.iter().map(ratio).collect())
                    }
                }
            }
        }
    }
}

/// `ratios` scaled to sum to 1.
fn scaled(client: usize, ratios: Vec<f64>) -> Result<Vec<f64>> {
    let total: f64 = ratios.iter().sum();
    let fine = total.is_finite() && total > 0.0 && ratios.iter().all(|&ratio| ratio >= 0.0);
    match fine {
        true => Ok(ratios.into_iter().map(|ratio| ratio / total).collect()),
        false => Err(format!(
            "client {client} would be empty: its ratios are {ratios:?}; give ratios of at least 0, one of them above"
        )),
    }
}

/// For each client how many examples of each domain it gets: equally many in all, and as many as the
/// domains have.
fn counts(domains: &[Group], shares: &[Vec<f64>]) -> Result<Vec<Vec<usize>>> {
    let asked = |domain: usize| shares.iter().map(|own| own[domain]).sum::<f64>();
    let most = |(at, domain): (usize, &Group)| (domain.rows.len() as f64 / asked(at), at);
    // A domain that nobody asks for allows infinitely many.
    let all = domains.iter().enumerate().map(most);
    let scarcest = all.min_by(|(one, _), (other, _)| one.total_cmp(other));
    // The sums of shares may lie a little above what they should be.
    let mut size = scarcest.map(|(most, _)| (most + 1e-9) as usize);
    // Rounding may ask for a few examples more than a domain has.
    while let Some(each @ 1..) = size {
        let counts: Vec<Vec<usize>> = shares
            .iter()
            .map(|own| split::largest_remainder(each, own))
            .collect();
        let used = |at: usize| counts.iter().map(|own| own[at]).sum::<usize>();
        if domains
            .iter()
            .enumerate()
            .all(|(at, domain)| used(at) <= domain.rows.len())
        {
            return Ok(counts);
        }
        size = Some(each - 1);
    }
    let name = scarcest.map(|(_, at)| domains[at].name.as_str());
    Err(format!(
        "the clients would be empty: domain `{}` has too few examples for their ratios; fewer clients, or other ratios",
        name.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use folkmoot_sdk::native::dataset;

    use super::*;

    /// For each client its numbers of examples of the domains: law has 112, med 48, web 40.
    fn counts(settings: &str, clients: u32) -> Result<Vec<[usize; 3]>> {
        let domains = [vec!["web"; 40], vec!["law"; 112], vec!["med"; 48]].concat();
        let data = dataset(&[("domain", &domains)], 7);
        let groups = data.groups("domain").unwrap();
        let settings: DomainMix = serde_json::from_str(settings).unwrap();
        let shards = settings.partition(&data, clients)?;
        let mut rows = shards.concat();
        rows.sort_unstable();
        let all = rows.len();
        rows.dedup();
        assert_eq!(rows.len(), all);
        let count = |rows: &Vec<u32>| {
            let of = |at: usize| {
                rows.iter()
                    .filter(|row| groups[at].rows.contains(row))
                    .count()
            };
            [of(0), of(1), of(2)]
        };
        Ok(shards.iter().map(count).collect())
    }

    #[test]
    fn without_ratios_each_client_has_a_main_domain() {
        // 48 examples of med, 40 of web: 40 / (0.8 + 0.1 + 0.1) each.
        let found = counts("{}", 3).unwrap();
        assert_eq!(found, [[32, 4, 4], [4, 32, 4], [4, 4, 32]]);
        let pure = counts(r#"{ "main": 1.0 }"#, 4).unwrap();
        assert_eq!(pure, [[40, 0, 0], [0, 40, 0], [0, 0, 40], [40, 0, 0]]);
    }

    #[test]
    fn ratios_are_lists_or_maps() {
        let ratios = r#"{ "ratios": [[2, 1, 1], { "law": 0.5, "med": 0.5 }] }"#;
        // med has 48, of which each client takes 1/4 and 1/2 of its own.
        let found = counts(ratios, 2).unwrap();
        assert_eq!(found, [[32, 16, 16], [32, 32, 0]]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |settings, clients| counts(settings, clients).unwrap_err();
        assert!(refused(r#"{ "ratios": [[1, 1, 1]] }"#, 2).contains("for 1 clients"));
        assert!(refused(r#"{ "ratios": [[1, 1]] }"#, 1).contains("`law`, `med`, `web`"));
        assert!(refused(r#"{ "ratios": [{ "lwa": 1 }] }"#, 1).contains("name domain `lwa`"));
        assert!(refused(r#"{ "ratios": [[0, 0, 0]] }"#, 1).starts_with("client 0 would be empty"));
        assert!(refused("{}", 300).contains("domain `web` has too few"));
    }
}
