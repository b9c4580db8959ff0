//! The JSON Schemas in `schema/` are those of the code, and the sample files fit what the code reads.

use schemars::Schema;

use crate::generated::generated;

fn current(name: &str, schema: &Schema) {
    generated(&format!("schema/{name}.json"), &format!("{}\n", serde_json::to_string_pretty(schema).unwrap()));
}

#[test]
fn schemas_are_current() {
    current("benchmark", &schemars::schema_for!(karat::benchmark::Benchmark));
    current("config", &karat::config::config_schema());
    current("waivers", &karat::gate::waivers_schema());
    current("scan", &karat::report::json::scan_schema());
}
