//! Where nodes are: published latency tables between regions.

use quorate_core::Span;

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

/// Regions of the world table, in the order of its rows.
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
const WORLD_ONE_WAY_MS: [[f64; 6]; 6] = [
    [32.0, 124.0, 184.0, 198.0, 151.0, 189.0],
    [124.0, 11.0, 227.0, 237.0, 252.0, 294.0],
    [184.0, 227.0, 88.0, 325.0, 301.0, 322.0],
    [198.0, 237.0, 325.0, 85.0, 58.0, 198.0],
    [151.0, 252.0, 301.0, 58.0, 12.0, 126.0],
    [189.0, 294.0, 322.0, 198.0, 126.0, 16.0],
];

/// One-way latencies between the named regions of one table, or the name that no table has.
///
/// # Errors
/// The name that is unknown, or that belongs to the other table.
pub fn latencies(regions: &[String]) -> Result<Vec<Vec<Span>>, String> {
    let cloud = |name: &String| CLOUD_REGIONS.iter().position(|r| r == name);
    let world = |name: &String| WORLD_REGIONS.iter().position(|r| r == name);
    let in_cloud = regions.first().is_some_and(|r| cloud(r).is_some());
    let places: Result<Vec<usize>, String> = regions
        .iter()
        .map(|name| if in_cloud { cloud(name) } else { world(name) }.ok_or_else(|| name.clone()))
        .collect();
    let places = places?;
    let ms = |a: usize, b: usize| match (in_cloud, a == b) {
        (true, true) => WITHIN_CLOUD_REGION_RTT_MS / 2.0,
        (true, false) => CLOUD_RTT_MS[a][b] / 2.0,
        (false, _) => WORLD_ONE_WAY_MS[a][b],
    };
    let row = |&a: &usize| {
        places
            .iter()
            .map(|&b| Span::from_ms_f64(ms(a, b)))
            .collect()
    };
    Ok(places.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_by_name() {
        let names = |list: &[&str]| -> Vec<String> { list.iter().map(|&s| s.to_owned()).collect() };
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
}
