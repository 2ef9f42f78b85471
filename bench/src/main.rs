//! Measures the vault against bare servers: CPU per request, syncs per tokenize, memory and
//! CPU of streams. Only ratios of one run are compared with goals, and nothing is asserted.

mod answer;
mod bulk;
mod clock;
mod figure;
mod footprint;
mod load;
mod memory;
mod out;
mod peer;
mod plot;
mod proc;
mod refusals;
mod report;
mod requests;
mod s3;
mod server;
mod session;
mod settings;
mod stats;
mod stream;
mod syncs;
mod vault;

use clap::Parser;

use report::{Report, Scenario as Figures};
use settings::{Arguments, Durability, Scenario, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Scenario::Plot { figures } = &arguments.scenario {
        return Ok(out::line(plot::svg(&figure::read(figures)?).trim_end())?);
    }
    let settings = Settings::new(&arguments.options)?;
    let mut report = Report {
        command: without_places(std::env::args().skip(1)),
        machine: proc::machine()?,
        smoke: settings.smoke,
        scenarios: Vec::new(),
        figures: Vec::new(),
    };
    let mut outcome = Ok(());
    for scenario in parts(arguments.scenario) {
        // What was measured by then is told in any case.
        match measure(&settings, scenario).await {
            Ok(figures) => report.scenarios.extend(figures),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    report.figures = report.scenarios.iter().flat_map(Figures::figures).collect();
    report.print()?;
    if let Some(path) = &arguments.options.out {
        report.save(path)?;
    }
    outcome
}

/// The arguments but for where things lie, which is nobody's business and no part of the figures.
fn without_places(arguments: impl Iterator<Item = String>) -> Vec<String> {
    const PLACES: [&str; 6] = [
        "--dir",
        "--out",
        "--vault",
        "--baseline",
        "--peer",
        "--data",
    ];
    let mut kept = Vec::new();
    let mut is_place = false;
    for argument in arguments {
        let (name, value) = argument
            .split_once('=')
            .map_or((argument.as_str(), None), |(name, value)| {
                (name, Some(value))
            });
        if is_place {
            is_place = false;
        } else if PLACES.contains(&name) {
            is_place = value.is_none();
        } else {
            kept.push(argument);
        }
    }
    kept
}

/// The single scenarios that one name stands for.
fn parts(scenario: Scenario) -> Vec<Scenario> {
    let detokenize = |durability| Scenario::Detokenize {
        durability: Some(durability),
    };
    let refusals = |durability| Scenario::Refusals {
        durability: Some(durability),
    };
    let both = [Durability::Buffered, Durability::Durable];
    match scenario {
        Scenario::Detokenize { durability: None } => both.map(detokenize).to_vec(),
        Scenario::Refusals { durability: None } => both.map(refusals).to_vec(),
        Scenario::All => {
            let vault = [Scenario::Tokenize, Scenario::Syncs, Scenario::Bulk];
            let s3 = [Scenario::S3Put, Scenario::S3List, Scenario::S3Bulk];
            let there = [
                Scenario::Start,
                Scenario::Idle,
                Scenario::Size,
                Scenario::Peer,
            ];
            let all = both.map(detokenize).into_iter().chain(vault);
            let all = all.chain(both.map(refusals)).chain(s3);
            all.chain(there).collect()
        }
        one => vec![one],
    }
}

async fn measure(settings: &Settings, scenario: Scenario) -> anyhow::Result<Vec<Figures>> {
    Ok(match scenario {
        Scenario::Detokenize { durability } => {
            let durability = durability.unwrap_or(Durability::Durable);
            vec![Figures::Requests(
                requests::detokenize(settings, durability).await?,
            )]
        }
        Scenario::Tokenize => vec![Figures::Requests(requests::tokenize(settings).await?)],
        Scenario::Syncs => {
            let counted = syncs::syncs(settings).await?;
            counted.into_iter().map(Figures::Syncs).collect()
        }
        Scenario::Bulk => bulk::bulk(settings)?.map(Figures::Bulk).into(),
        Scenario::Refusals { durability } => {
            let durability = durability.unwrap_or(Durability::Durable);
            let measured = refusals::refusals(settings, durability).await?;
            measured.into_iter().map(Figures::Refusals).collect()
        }
        Scenario::S3Put => {
            let counted = s3::puts::puts(settings).await?;
            counted.into_iter().map(Figures::Syncs).collect()
        }
        Scenario::S3List => vec![Figures::Requests(s3::list::list(settings).await?)],
        Scenario::S3Bulk => s3::bulk::bulk(settings)?.map(Figures::Bulk).into(),
        Scenario::Start => single(footprint::start(settings).await?),
        Scenario::Idle => single(footprint::idle(settings).await?),
        Scenario::Size => single(footprint::size(settings)?),
        Scenario::Peer => {
            let compared = peer::peer(settings).await?;
            compared.into_iter().map(Figures::Requests).collect()
        }
        Scenario::All | Scenario::Plot { .. } => Vec::new(),
    })
}

fn single(figures: Vec<figure::Figure>) -> Vec<Figures> {
    figures.into_iter().map(Figures::Single).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_report_does_not_say_where_things_lie() {
        let said = "all --dir /data --gib 1 --out=/tmp/it --seconds 2 --peer /bin/it";
        let kept = super::without_places(said.split(' ').map(str::to_owned));
        assert_eq!(kept, ["all", "--gib", "1", "--seconds", "2"]);
    }
}
