//! The layout of a component in a registry: the CNCF's "Wasm OCI Artifact", one manifest, one configuration, one layer.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use wasmparser::{Parser, Payload};

use crate::config::component::Digest;
use crate::error::{Context, Error, Result};
use crate::sandbox::{CONTRACT, MAX_COMPONENT_BYTES};

/// Media type of the manifest.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media types of manifests that we take, or can tell what is wrong with.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// Media type of the configuration.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Media type of the layer.
const LAYER: &str = "application/wasm";

/// Bytes of a manifest, which the specification asks registries to take.
pub(super) const MAX_MANIFEST_BYTES: u64 = 4 << 20;

/// A component in the form in which a registry holds it.
pub(super) struct Artefact {
    /// The manifest's bytes.
    pub(super) manifest: Vec<u8>,
    /// The configuration's bytes.
    pub(super) config: Vec<u8>,
}

/// Where in a registry a component's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: String,
    architecture: &'a str,
    os: &'a str,
    layer_digests: [String; 1],
    component: Interface,
}

/// What a component takes and gives.
#[derive(Serialize)]
struct Interface {
    exports: Vec<String>,
    imports: Vec<String>,
    target: String,
}

/// Lays a component out for a registry; the same bytes, title and time give the same artefact.
///
/// # Errors
/// Config, where it is no transform.
pub(super) fn lay_out(wasm: &[u8], title: &str, created: DateTime<Utc>) -> Result<Artefact> {
    let digest = Digest::of(wasm).to_string();
    let config = Config {
        created: created.to_rfc3339_opts(SecondsFormat::Secs, true),
        architecture: "wasm",
        os: "wasip2",
        layer_digests: [digest.clone()],
        component: interface(wasm, title)?,
    };
    let config = serde_json::to_vec(&config).bug(|| "writing an artefact's configuration".into())?;
    let annotations = [("org.opencontainers.image.title".to_owned(), title.into())].into_iter().collect();
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(MANIFEST.into()),
        config: Descriptor {
            media_type: CONFIG.into(),
            digest: Digest::of(&config).to_string(),
            size: config.len() as u64,
            annotations: None,
        },
        layers: vec![Descriptor { media_type: LAYER.into(), digest, size: wasm.len() as u64, annotations: Some(annotations) }],
    };
    let manifest = serde_json::to_vec(&manifest).bug(|| "writing an artefact's manifest".into())?;
    Ok(Artefact { manifest, config })
}

/// Reads where a component is from a manifest; `name` is the reference that it has.
///
/// # Errors
/// Config, where the manifest is not that of a component.
pub(super) fn layer(manifest: &[u8], name: &str) -> Result<Layer> {
    #[derive(Deserialize)]
    struct Kind {
        manifests: Option<serde::de::IgnoredAny>,
    }
    let no_manifest = || Error::config(format!("`{name}` has no manifest of an OCI artefact"));
    let kind: Kind = serde_json::from_slice(manifest).map_err(|error| no_manifest().because(error))?;
    if kind.manifests.is_some() {
        return Err(Error::config(format!("`{name}` is a list of artefacts for several platforms, not a component"))
            .hint("name one of them by digest, or push the component with `etl-host push`"));
    }
    let Manifest { layers, config, .. } = serde_json::from_slice(manifest).map_err(|error| no_manifest().because(error))?;
    let push = "push the component with `etl-host push`, or with another tool that follows the Wasm OCI artefact layout";
    let layer = match layers.as_slice() {
        [layer] => layer,
        layers => {
            return Err(Error::config(format!("`{name}` has {} layers, but a component is one", layers.len())).hint(push));
        }
    };
    if layer.media_type != LAYER {
        return Err(Error::config(format!(
            "`{name}` is no WebAssembly: its layer is `{}`, but must be `{LAYER}` (its configuration is `{}`)",
            clip(&layer.media_type),
            clip(&config.media_type)
        ))
        .hint(push));
    }
    if layer.size > MAX_COMPONENT_BYTES as u64 {
        return Err(Error::config(format!("component `{name}` is {} bytes, the limit is {MAX_COMPONENT_BYTES}", layer.size)));
    }
    let digest =
        layer.digest.parse().map_err(|wrong| Error::config(format!("the layer of `{name}` has no SHA-256 digest")).because(wrong))?;
    Ok(Layer { digest, bytes: layer.size })
}

fn clip(text: &str) -> String {
    text.chars().take(255).collect()
}

/// Reads what a component takes and gives, without compiling it.
fn interface(wasm: &[u8], name: &str) -> Result<Interface> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    let broken = |error: wasmparser::BinaryReaderError| Error::config(format!("`{name}` is damaged WebAssembly")).because(error);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(broken)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import.map_err(broken)?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export.map_err(broken)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    let target = exports.iter().find_map(|export| {
        let (interface, version) = export.strip_prefix(CONTRACT)?.strip_prefix('/')?.split_once('@')?;
        let world = match interface {
            "stage" => "transform",
            "record-stage" => "transform-records",
            _ => return None,
        };
        Some(format!("{CONTRACT}/{world}@{version}"))
    });
    match target {
        Some(target) => Ok(Interface { exports, imports, target }),
        None => Err(Error::config(format!("component `{name}` is no transform, and nobody could run it"))
            .hint(format!("a transform exports `{CONTRACT}/stage` or `{CONTRACT}/record-stage`; see `etl-host inspect`"))),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::{interface, lay_out, layer};
    use crate::config::component::Digest;
    use crate::sandbox::OPS;

    #[test]
    fn a_component_is_laid_out_as_the_standard_has_it() {
        let created = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let artefact = lay_out(OPS, "ops.wasm", created).unwrap();
        let mask = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.replace(&Digest::of(OPS).hex(), "LAYER")
                .replace(&Digest::of(&artefact.config).hex(), "CONFIG")
                .replace(&format!(":{},", OPS.len()), ":SIZE,")
                .replace(&format!(":{}}}", artefact.config.len()), ":SIZE}")
        };
        // Which interfaces a component imports is its compiler's business; the contract's are among them.
        let imports = interface(OPS, "ops.wasm").unwrap().imports;
        assert!(imports.contains(&"etl:transform/data@1.0.0".to_owned()), "{imports:?}");
        let config = mask(&artefact.config).replace(&serde_json::to_string(&imports).unwrap(), "[IMPORTS]");
        insta::assert_snapshot!(format!("{}\n{config}", mask(&artefact.manifest)), @r#"
        {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.wasm.config.v0+json","digest":"sha256:CONFIG","size":SIZE},"layers":[{"mediaType":"application/wasm","digest":"sha256:LAYER","size":SIZE,"annotations":{"org.opencontainers.image.title":"ops.wasm"}}]}
        {"created":"2023-11-14T22:13:20Z","architecture":"wasm","os":"wasip2","layerDigests":["sha256:LAYER"],"component":{"exports":["etl:transform/stage@1.0.0"],"imports":[IMPORTS],"target":"etl:transform/transform@1.0.0"}}
        "#);
        assert_eq!(lay_out(OPS, "ops.wasm", created).unwrap().manifest, artefact.manifest);
        let found = layer(&artefact.manifest, "oci://ghcr.io/ops:1").unwrap();
        assert_eq!((found.digest, found.bytes), (Digest::of(OPS), OPS.len() as u64));
    }

    #[test]
    fn what_is_no_transform_is_not_laid_out() {
        for wrong in [&b"\0asm\x01\0\0\0"[..], &b"\0asm\x0d\0\x01\0"[..], &b"hello"[..], &OPS[..OPS.len() / 2]] {
            assert!(interface(wrong, "x.wasm").is_err());
        }
    }

    #[test]
    fn a_manifest_of_something_else_is_told_from_a_component() {
        let digest = Digest::of(b"x");
        let one = |media: &str, digest: &str, size: u64| format!(r#"{{"mediaType":"{media}","digest":"{digest}","size":{size}}}"#);
        let manifest = |layers: &str| {
            format!(
                r#"{{"schemaVersion":2,"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:0","size":2}},"layers":[{layers}]}}"#
            )
        };
        let wasm = one("application/wasm", &digest.to_string(), 1);
        assert_eq!(layer(manifest(&wasm).as_bytes(), "x").unwrap().digest, digest);
        let wrong = [
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(),
            manifest(""),
            manifest(&format!("{wasm},{wasm}")),
            manifest(&one("application/vnd.oci.image.layer.v1.tar+gzip", &digest.to_string(), 1)),
            manifest(&one("application/wasm", &digest.to_string(), 1 << 40)),
            manifest(&one("application/wasm", "sha512:00", 1)),
        ];
        insta::assert_snapshot!(wrong.map(|text| layer(text.as_bytes(), "x").unwrap_err().one_line()).join("\n"), @r"
        `x` has no manifest of an OCI artefact: invalid length 0, expected struct Kind with 1 element at line 1 column 2
        `x` has no manifest of an OCI artefact: missing field `schemaVersion` at line 1 column 2
        `x` is a list of artefacts for several platforms, not a component
        `x` has 0 layers, but a component is one
        `x` has 2 layers, but a component is one
        `x` is no WebAssembly: its layer is `application/vnd.oci.image.layer.v1.tar+gzip`, but must be `application/wasm` (its configuration is `application/vnd.oci.image.config.v1+json`)
        component `x` is 1099511627776 bytes, the limit is 67108864
        the layer of `x` has no SHA-256 digest: does not start with `sha256:`; a digest is `sha256:` and 64 hex digits, as `etl-host inspect` shows it
        ");
    }
}
