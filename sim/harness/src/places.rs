//! Where nodes are: published latency tables between regions.

use quorate_core::Span;

/// A table of latencies.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name in plans.
    pub name: &'static str,
    /// What it is, and where from.
    pub about: &'static str,
    /// The regions, in the order of the rows.
    pub regions: &'static [&'static str],
    /// The published share of nodes in each, if any.
    pub shares: Option<&'static [f64]>,
    /// One-way latency from region to region, ms.
    one_way_ms: fn(usize, usize) -> f64,
}

/// All tables. Where a plan names none, the first one that has its first region counts.
pub const TABLES: [Table; 6] = [
    Table {
        name: "cloud-2017",
        about: "Round trips between AWS regions, April 2017.",
        regions: &CLOUD_REGIONS,
        shares: None,
        one_way_ms: cloud,
    },
    Table {
        name: "world-2019",
        about: "SimBlock's six regions with the nodes of Bitcoin in 2019.",
        regions: &WORLD_REGIONS,
        shares: Some(&BITCOIN_2019_SHARES),
        one_way_ms: |a, b| WORLD_2019_MS[a][b],
    },
    Table {
        name: "world-2015",
        about: "SimBlock's six regions with the nodes of Bitcoin in 2015.",
        regions: &WORLD_REGIONS,
        shares: Some(&BITCOIN_2015_SHARES),
        one_way_ms: |a, b| GERVAIS_2016_MS[a][b].round(),
    },
    Table {
        name: "gervais-2016",
        about: "The same as Gervais et al. 2016 have it in their Bitcoin simulator.",
        regions: &WORLD_REGIONS,
        shares: Some(&BITCOIN_2015_SHARES),
        one_way_ms: |a, b| GERVAIS_2016_MS[a][b],
    },
    Table {
        name: "ethereum-2020",
        about: "The latencies of world-2019 with the nodes of Ethereum in 2020, from JABS.",
        regions: &WORLD_REGIONS,
        shares: Some(&ETHEREUM_2020_SHARES),
        one_way_ms: |a, b| WORLD_2019_MS[a][b],
    },
    Table {
        name: "hospital-wan",
        about: "A campus, its city and six other cities of Germany, by distance.",
        regions: &HOSPITAL_REGIONS,
        shares: None,
        one_way_ms: hospital,
    },
];

/// Regions of the cloud table, in the order of its rows.
pub const CLOUD_REGIONS: [&str; 10] = [
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "sa-east-1",
];

/// Mean round-trip times between cloud regions in ms, upper triangle.
/// source: "Latency Between AWS Global Regions", averages tabulated at
/// acomputerscientistlearnsaws.blogspot.com, April 2017 (rows from the named region).
const CLOUD_RTT_MS: [[f64; 10]; 10] = [
    [
        0.0, 72.74, 86.98, 80.55, 88.66, 145.3, 178.4, 216.7, 230.0, 119.5,
    ],
    [
        71.63, 0.0, 19.46, 153.2, 166.6, 102.5, 131.5, 174.0, 157.5, 192.7,
    ],
    [
        88.68, 19.2, 0.0, 137.0, 159.5, 89.1, 118.3, 161.4, 162.2, 182.7,
    ],
    [
        80.52, 153.2, 137.0, 0.0, 19.56, 212.4, 242.4, 239.0, 309.6, 191.3,
    ],
    [
        88.62, 166.6, 159.5, 19.55, 0.0, 236.5, 266.2, 325.9, 323.5, 194.9,
    ],
    [
        145.3, 102.5, 89.16, 212.4, 236.6, 0.0, 31.44, 73.79, 103.9, 256.8,
    ],
    [
        176.6, 132.6, 118.2, 242.4, 265.3, 31.32, 0.0, 71.87, 134.0, 286.3,
    ],
    [
        216.7, 173.9, 161.4, 238.1, 325.9, 73.81, 71.29, 0.0, 175.3, 328.1,
    ],
    [
        229.7, 157.8, 161.9, 309.6, 323.2, 103.9, 134.0, 175.4, 0.0, 322.5,
    ],
    [
        119.5, 192.7, 182.7, 191.3, 194.9, 256.8, 286.3, 328.1, 322.5, 0.0,
    ],
];

/// Round trip between two availability zones of one region, ms.
/// source: simonpainter.com "Exploring Azure Network Latency": 1,553 µs across zones.
const WITHIN_CLOUD_REGION_RTT_MS: f64 = 1.553;

fn cloud(a: usize, b: usize) -> f64 {
    let rtt = if a == b {
        WITHIN_CLOUD_REGION_RTT_MS
    } else {
        CLOUD_RTT_MS[a][b]
    };
    rtt / 2.0
}

/// Regions of the world tables, in the order of their rows.
pub const WORLD_REGIONS: [&str; 6] = [
    "north-america",
    "europe",
    "south-america",
    "asia-pacific",
    "japan",
    "australia",
];

/// Mean one-way latency between the world's regions in ms, 2019.
/// source: dsg-titech/simblock@1c0e899 `NetworkConfiguration`, table for 2019.
const WORLD_2019_MS: [[f64; 6]; 6] = [
    [32.0, 124.0, 184.0, 198.0, 151.0, 189.0],
    [124.0, 11.0, 227.0, 237.0, 252.0, 294.0],
    [184.0, 227.0, 88.0, 325.0, 301.0, 322.0],
    [198.0, 237.0, 325.0, 85.0, 58.0, 198.0],
    [151.0, 252.0, 301.0, 58.0, 12.0, 126.0],
    [189.0, 294.0, 322.0, 198.0, 126.0, 16.0],
];

/// The same in 2015, with two decimals; SimBlock's table for 2015 has these, rounded.
/// source: arthurgervais/Bitcoin-Simulator@6d5e76b `bitcoin-topology-helper.cc`.
const GERVAIS_2016_MS: [[f64; 6]; 6] = [
    [35.5, 119.49, 254.79, 310.11, 154.36, 207.91],
    [119.49, 11.61, 221.08, 241.9, 266.45, 350.07],
    [254.79, 221.08, 137.09, 346.65, 255.95, 268.91],
    [310.11, 241.9, 346.65, 99.46, 172.24, 277.8],
    [154.36, 266.45, 255.95, 172.24, 8.76, 162.59],
    [207.91, 350.07, 268.91, 277.8, 162.59, 21.72],
];

/// Shares of nodes by region. source: dsg-titech/simblock@1c0e899 `NetworkConfiguration`, Bitcoin 2019.
const BITCOIN_2019_SHARES: [f64; 6] = [0.331_6, 0.499_8, 0.009_0, 0.117_7, 0.022_4, 0.019_5];
/// source: the same, Bitcoin 2015; Gervais et al. 2016 have the same.
const BITCOIN_2015_SHARES: [f64; 6] = [0.386_9, 0.515_9, 0.011_3, 0.057_4, 0.011_9, 0.016_6];
/// source: hyajam/jabs@0d9092a `EthereumNodeGlobalNetworkStats6Regions`, 2020.
const ETHEREUM_2020_SHARES: [f64; 6] = [0.350_3, 0.356_3, 0.010_0, 0.235_8, 0.041_4, 0.006_2];

/// Regions of the hospital table: one hospital's campus, then cities of Germany.
pub const HOSPITAL_REGIONS: [&str; 8] = [
    "berlin-campus",
    "berlin",
    "hamburg",
    "leipzig",
    "cologne",
    "frankfurt",
    "stuttgart",
    "munich",
];

/// Great-circle distances between the cities in km. source: coordinates of their centres.
const CITY_KM: [[f64; 7]; 7] = [
    [0.0, 255.0, 149.0, 477.0, 424.0, 512.0, 504.0],
    [255.0, 0.0, 294.0, 356.0, 393.0, 534.0, 612.0],
    [149.0, 294.0, 0.0, 380.0, 294.0, 365.0, 361.0],
    [477.0, 356.0, 380.0, 0.0, 153.0, 288.0, 456.0],
    [424.0, 393.0, 294.0, 153.0, 0.0, 153.0, 304.0],
    [512.0, 534.0, 365.0, 288.0, 153.0, 0.0, 190.0],
    [504.0, 612.0, 361.0, 456.0, 304.0, 190.0, 0.0],
];

/// How much longer than light in fibre along the great circle a message takes.
/// source: Bozkurt et al. 2018 (arXiv 1811.10737), the rule of thumb for the Internet of today; 1.3 on
/// the shortest fibres.
const DETOUR: f64 = 2.1;
/// Light in fibre, km/ms: 299.792 over a group index of 1.468. source: ITU-T G.652 fibres at 1,550 nm.
const FIBRE_KM_PER_MS: f64 = 299.792 / 1.468;
/// Between two hospitals of one city. source: Kent Community Network, statistics of January 2007: a
/// round trip of 2 ms from the core to a typical site, 4 ms between the farthest two.
const METRO_MS: f64 = 1.0;
/// Between two buildings of one campus.
// assumption: a few switches and less than 10 km of fibre (0.05 ms).
const CAMPUS_MS: f64 = 0.1;

fn hospital(a: usize, b: usize) -> f64 {
    if (a, b) == (0, 0) {
        return CAMPUS_MS;
    }
    // The campus is in the first city.
    let city = |region: usize| region.max(1) - 1;
    if city(a) == city(b) {
        return METRO_MS;
    }
    CITY_KM[city(a)][city(b)] * DETOUR / FIBRE_KM_PER_MS
}

/// Latitude and longitude of a region, degrees north and east; `None` of one that is in no table.
// source: AWS documentation names the cities of its regions; of a continent the place is where most of
// its nodes are (assumption); cities by the coordinates of their centres. For drawing alone.
pub fn coordinates(region: &str) -> Option<(f64, f64)> {
    Some(match region {
        "us-east-1" => (38.9, -77.4),
        "us-west-1" => (37.4, -122.0),
        "us-west-2" => (45.8, -119.7),
        "eu-west-1" => (53.3, -6.3),
        "eu-central-1" => (50.1, 8.7),
        "ap-northeast-1" => (35.7, 139.7),
        "ap-northeast-2" => (37.6, 127.0),
        "ap-southeast-1" => (1.35, 103.8),
        "ap-southeast-2" => (-33.9, 151.2),
        "sa-east-1" => (-23.5, -46.6),
        "north-america" => (39.0, -98.0),
        "europe" => (50.0, 9.0),
        "south-america" => (-15.0, -55.0),
        "asia-pacific" => (22.3, 114.2),
        "japan" => (35.7, 139.7),
        "australia" => (-33.9, 151.2),
        // A campus lies in its city; so that both are seen it is drawn beside it.
        "berlin-campus" => (52.9, 13.9),
        "berlin" => (52.5, 13.4),
        "hamburg" => (53.6, 10.0),
        "leipzig" => (51.3, 12.4),
        "cologne" => (50.9, 7.0),
        "frankfurt" => (50.1, 8.7),
        "stuttgart" => (48.8, 9.2),
        "munich" => (48.1, 11.6),
        _ => return None,
    })
}

/// The table with this name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|t| t.name == name)
}

/// The table that has the first of these regions: what a plan means that names none.
pub fn table_of(regions: &[String]) -> Option<&'static Table> {
    let first = regions.first()?;
    TABLES.iter().find(|t| t.place(first).is_some())
}

impl Table {
    /// The row of a region.
    pub fn place(&self, region: &str) -> Option<usize> {
        self.regions.iter().position(|r| *r == region)
    }

    /// One-way latencies between some of its regions.
    ///
    /// # Errors
    /// The name that it does not have.
    pub fn latencies(&self, regions: &[String]) -> Result<Vec<Vec<Span>>, String> {
        let place = |name: &String| self.place(name).ok_or_else(|| name.clone());
        let places: Vec<usize> = regions.iter().map(place).collect::<Result<_, _>>()?;
        let row = |&a: &usize| {
            let one_way = |&b: &usize| Span::from_ms_f64((self.one_way_ms)(a, b));
            places.iter().map(one_way).collect()
        };
        Ok(places.iter().map(row).collect())
    }

    /// The published shares of some of its regions, whatever they sum to.
    pub fn shares(&self, regions: &[String]) -> Option<Vec<f64>> {
        let shares = self.shares?;
        let share = |name: &String| self.place(name).map(|place| shares[place]);
        regions.iter().map(share).collect()
    }
}

/// One-way latencies between the named regions of the table that has the first.
///
/// # Errors
/// The name that is unknown, or that belongs to another table.
pub fn latencies(regions: &[String]) -> Result<Vec<Vec<Span>>, String> {
    let first = || regions.first().cloned().unwrap_or_default();
    table_of(regions).ok_or_else(first)?.latencies(regions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&s| s.to_owned()).collect()
    }

    #[test]
    fn tables_by_region() {
        let us = latencies(&names(&["us-east-1", "us-west-2"])).expect("known");
        assert_eq!(us[0][1], Span::from_ms_f64(43.49));
        assert_eq!(us[1][1], Span::from_ms_f64(0.776_5));
        let world = latencies(&names(&["japan", "europe"])).expect("known");
        assert_eq!(world[0][1], Span::from_ms(252));
        assert_eq!(
            latencies(&names(&["us-east-1", "japan"])),
            Err("japan".to_owned())
        );
        assert_eq!(latencies(&names(&["mars"])), Err("mars".to_owned()));
    }

    #[test]
    fn tables_by_name() {
        let old = table("world-2015").expect("there");
        let rows = old.latencies(&names(&["japan", "europe"])).expect("known");
        assert_eq!(rows[0][1], Span::from_ms(266));
        let shares = table("ethereum-2020").and_then(|t| t.shares(&names(&["japan", "europe"])));
        assert_eq!(shares, Some(vec![0.041_4, 0.356_3]));
        assert!(table("cloud-2017").is_some_and(|t| t.shares.is_none()));
    }

    #[test]
    fn every_table_is_whole() {
        for table in TABLES {
            let all: Vec<String> = names(table.regions);
            let rows = table.latencies(&all).expect("its own names");
            for (a, row) in rows.iter().enumerate() {
                for (b, latency) in row.iter().enumerate() {
                    assert!(!latency.is_zero(), "{} {a} {b}", table.name);
                    assert!(
                        coordinates(table.regions[a]).is_some(),
                        "{} {a}",
                        table.name
                    );
                    // The cloud table was measured from both ends.
                    let gap = latency.as_ms() - rows[b][a].as_ms();
                    assert!(gap.abs() < 1.0, "{} {a} {b}", table.name);
                }
            }
            if let Some(shares) = table.shares {
                assert!(
                    (shares.iter().sum::<f64>() - 1.0).abs() < 2e-4,
                    "{}",
                    table.name
                );
            }
        }
    }

    /// A message needs at least as long as light in fibre does, and a national network no more than
    /// a few milliseconds.
    #[test]
    fn hospitals_are_near_each_other() {
        let wan = table("hospital-wan").expect("there");
        let rows = wan.latencies(&names(wan.regions)).expect("known");
        let ms = |a: usize, b: usize| rows[a][b].as_ms();
        assert!(ms(0, 0) < ms(1, 1) && ms(1, 1) < ms(1, 3));
        assert!(
            (ms(0, 2) - ms(1, 2)).abs() < 1e-9,
            "the campus is in its city"
        );
        assert!((ms(2, 7) - 6.293).abs() < 0.001, "{}", ms(2, 7));
    }
}
