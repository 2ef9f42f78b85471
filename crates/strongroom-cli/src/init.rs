//! `strongroom init`: makes a vault's files, all or none of them.

use crate::{stores, system_now};
use anyhow::{Context, bail};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::prelude::{BASE64_STANDARD, Engine};
use clap::Args;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use strongroom_core::VaultId;
use strongroom_keyring::{Keyring, file as keyring_file};

const CONFIG_TEXT: &str = include_str!("init/strongroom.toml");

/// Make a vault: keyring, master key, application key pair, configuration
#[derive(Args)]
pub(crate) struct Init {
    /// Where; made with mode 0700
    #[arg(default_value = "strongroom", value_name = "DIR")]
    dir: PathBuf,
}

impl Init {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        if self.dir.join("strongroom.toml").is_file() {
            writeln!(
                out,
                "{} is a vault already; nothing was changed.",
                self.dir.display()
            )?;
            return Ok(());
        }
        create(&self.dir)?;
        write!(out, "{}", farewell(&self.dir))?;
        Ok(())
    }
}

fn farewell(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "A vault stands in {dir}.\n\
         \n\
         Start it:          strongroom serve --config {dir}/strongroom.toml\n\
         \n\
         Back up these two, apart from each other (the data below holds the keyring too):\n  \
           {dir}/master.key            opens the keyring\n  \
           {dir}/data/keyring          opens the records\n\
         Back up as well, with the application's secrets:\n  \
           {dir}/application.key.pem   speaks for the application\n\
         And all the rest, as often as values matter, also while it serves:\n  \
           strongroom --config {dir}/strongroom.toml backup BACKUP\n\
         \n\
         Whoever loses the master key or the keyring loses every value in the vault, for ever.\n"
    )
}

/// Makes the vault beside its place and moves it there whole, so that a power cut leaves no
/// vault or a complete one.
pub(crate) fn create(dir: &Path) -> anyhow::Result<()> {
    if dir.exists()
        && fs::read_dir(dir)
            .with_context(|| shown(dir))?
            .next()
            .is_some()
    {
        bail!("{} exists and is neither empty nor a vault", dir.display());
    }
    let name = dir
        .file_name()
        .with_context(|| format!("{} cannot be made", dir.display()))?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let mut random = [0; 4];
    rand_core::Rng::fill_bytes(&mut rng(), &mut random);
    let unfinished = parent.join(format!(
        ".{}.unfinished-{}",
        name.to_string_lossy(),
        hex::encode(random)
    ));
    let made = fill(&unfinished).and_then(|()| {
        fs::rename(&unfinished, dir).with_context(|| shown(dir))?;
        sync_dir(parent)
    });
    if made.is_err() {
        // Whatever went wrong is what the caller must hear, not that cleaning up failed too.
        let _ = fs::remove_dir_all(&unfinished);
    }
    made
}

fn rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn fill(dir: &Path) -> anyhow::Result<()> {
    let data = dir.join("data");
    for made in [dir, &data] {
        DirBuilder::new()
            .mode(0o700)
            .create(made)
            .with_context(|| shown(made))?;
    }
    let rng = &mut rng();
    let master = keyring_file::create_master_key(&dir.join("master.key"), rng)?;
    let mut vault_id = [0; 16];
    rand_core::Rng::fill_bytes(rng, &mut vault_id);
    let keyring = Keyring::generate(VaultId(vault_id), system_now(), rng);
    keyring_file::write(&data.join("keyring"), &keyring, &master, rng)?;
    // Nobody else knows of these files yet; their locks would only puzzle whoever lists them.
    for lock in [dir.join("master.key.lock"), data.join("keyring.lock")] {
        let _ = fs::remove_file(lock);
    }
    write_key_pair(dir)?;
    stores::write_format(&data)?;
    write_new(&dir.join("strongroom.toml"), 0o600, CONFIG_TEXT.as_bytes())?;
    sync_dir(&data)?;
    sync_dir(dir)
}

/// RSA, because every client of the original API signs RS256 (RFC 7518 §3.3); 3,072 bits for
/// the 128-bit level of everything else (SP 800-57 part 1, table 2).
fn write_key_pair(dir: &Path) -> anyhow::Result<()> {
    let failed = |_| anyhow::anyhow!("the application's key pair could not be made");
    let pair = KeyPair::generate(KeySize::Rsa3072).map_err(failed)?;
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(failed)?;
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(failed)?;
    let private = zeroize::Zeroizing::new(pem("PRIVATE KEY", private.as_ref()));
    write_new(&dir.join("application.key.pem"), 0o600, private.as_bytes())?;
    write_new(
        &dir.join("application.pub.pem"),
        0o644,
        pem("PUBLIC KEY", public.as_ref()).as_bytes(),
    )
}

/// RFC 7468 textual encoding.
fn pem(label: &str, der: &[u8]) -> String {
    const LINE: usize = 48;
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(LINE) {
        BASE64_STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

fn write_new(path: &Path, mode: u32, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .with_context(|| shown(path))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

fn sync_dir(dir: &Path) -> anyhow::Result<()> {
    File::open(dir)?.sync_all().with_context(|| shown(dir))
}
