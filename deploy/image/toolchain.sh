#!/usr/bin/env bash
# Prepares Debian with Rust for compiling for an architecture, amd64 or arm64: `toolchain.sh ARCHITECTURE`, as root.
set -euo pipefail
case $1 in
  amd64) target=x86_64-unknown-linux-gnu cross=x86-64-linux-gnu libc=libc6-dev-amd64-cross ;;
  arm64) target=aarch64-unknown-linux-gnu cross=aarch64-linux-gnu libc=libc6-dev-arm64-cross ;;
  *) echo "toolchain.sh: there are images for amd64 and arm64, and not for $1" >&2; exit 1 ;;
esac
packages=(gcc libc6-dev)
if [ "$(dpkg --print-architecture)" != "$1" ]; then
  packages+=("gcc-$cross" "$libc")
fi
apt-get update
apt-get install --yes --no-install-recommends "${packages[@]}"
rm -rf /var/lib/apt/lists/*
rustup target list --installed | grep -qx "$target" || rustup target add "$target"
