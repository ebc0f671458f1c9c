//! Logging in to the machine in between.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::MethodKind;
use russh::client::{AuthResult, Handle, Handler, KeyboardInteractiveAuthResponse};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg, decode_secret_key};

use super::file;
use crate::config::database::SshTunnel;
use crate::error::{Context, Error, Result};

/// Bytes of a key's file.
const MAX_KEY_BYTES: u64 = 1 << 20;

/// Rounds of questions that a server may ask.
const MAX_QUESTIONS: usize = 5;

/// Logs in by the key, then by the password; where neither is named, by the user's own keys.
pub(super) async fn log_in<H: Handler>(session: &mut Handle<H>, tunnel: &SshTunnel, root: &Path, title: &str) -> Result<()> {
    let SshTunnel { username, password, key_file, key_passphrase, .. } = tunnel;
    let passphrase = key_passphrase.as_ref().map(|passphrase| passphrase.0.as_str());
    let broke = || format!("the SSH server {title} broke off while we logged in");
    let mut refused = Vec::new();
    let keys = match key_file {
        Some(path) => vec![read(&file(path, root), passphrase)?],
        None if password.is_none() => own_keys(passphrase),
        None => Vec::new(),
    };
    for (path, key) in keys {
        let hash = if key.algorithm().is_rsa() { session.best_supported_rsa_hash().await.outside(broke)?.flatten() } else { None };
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        if session.authenticate_publickey(username, key).await.outside(broke)?.success() {
            return Ok(());
        }
        refused.push(format!("the key `{}`", path.display()));
    }
    if let Some(password) = password {
        if by_password(session, username, &password.0).await.outside(broke)? {
            return Ok(());
        }
        refused.push("the password".into());
    }
    if refused.is_empty() {
        let message = format!("nothing to log in with to the SSH server {title}");
        return Err(Error::config(message).hint("give `key_file` or `password` under `ssh_tunnel`"));
    }
    let message = format!("the SSH server {title} refused {}", refused.join(" and "));
    Err(Error::config(message).hint(format!("is the public key among the `authorized_keys` of `{username}` there, or the password right?")))
}

/// Logs in by password, or by answering the one question for it that some servers ask instead.
async fn by_password<H: Handler>(session: &mut Handle<H>, username: &str, password: &str) -> Result<bool, russh::Error> {
    let asks = match session.authenticate_password(username, password).await? {
        AuthResult::Success => return Ok(true),
        AuthResult::Failure { remaining_methods, .. } => remaining_methods.contains(&MethodKind::KeyboardInteractive),
    };
    if !asks {
        return Ok(false);
    }
    let mut answer = session.authenticate_keyboard_interactive_start(username, None::<String>).await?;
    for _ in 0..MAX_QUESTIONS {
        let prompts = match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
        };
        let answers = match prompts.len() {
            0 => Vec::new(),
            1 => vec![password.to_owned()],
            // A second factor is for people.
            _ => return Ok(false),
        };
        answer = session.authenticate_keyboard_interactive_respond(answers).await?;
    }
    Ok(false)
}

fn read(path: &Path, passphrase: Option<&str>) -> Result<(PathBuf, PrivateKey)> {
    let unreadable = |error: std::io::Error| Error::config(format!("the key file `{}` cannot be read", path.display())).because(error);
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > MAX_KEY_BYTES {
        return Err(Error::config(format!("`{}` has {bytes} bytes, which no private key has", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let wrong = |error: russh::keys::Error| {
        let failed = Error::config(format!("the key file `{}` cannot be used", path.display()));
        match (error, passphrase) {
            (russh::keys::Error::KeyIsEncrypted, None) => failed
                .because(anyhow::anyhow!("it is encrypted"))
                .hint("give its passphrase as `key_passphrase: ${NAME}` under `ssh_tunnel`"),
            (error, Some(_)) => failed.because(error).hint("is `key_passphrase` right?"),
            (error, None) => failed.because(error).hint("`key_file` is the private key, in the form that `ssh-keygen` writes"),
        }
    };
    Ok((path.to_owned(), decode_secret_key(&text, passphrase).map_err(wrong)?))
}

/// The user's own keys that can be used as they are.
fn own_keys(passphrase: Option<&str>) -> Vec<(PathBuf, PrivateKey)> {
    let folder = std::env::home_dir().unwrap_or_default().join(".ssh");
    ["id_ed25519", "id_ecdsa", "id_rsa"].iter().filter_map(|name| read(&folder.join(name), passphrase).ok()).collect()
}
