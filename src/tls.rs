//! Whose certificates are believed: the machine's authorities, and those that the operator is given.

use std::sync::LazyLock;

use reqwest::Certificate;

/// Whether the machine's own store is empty. It may be hundreds of files: it is looked at once.
static MACHINE_HAS_NONE: LazyLock<bool> = LazyLock::new(|| {
    let none = rustls_native_certs::load_native_certs().certs.is_empty();
    if none {
        tracing::info!("this machine has no certificate authorities of its own: Mozilla's are believed");
    }
    none
});

/// The authorities to add to what the machine's own store holds.
///
/// Those of `extra_pem` are always added, never put in place of the others. Where the machine has no store at all (an
/// image made `FROM scratch`), Mozilla's are added too, as the client would believe nobody otherwise.
pub(crate) fn roots_to_add(extra_pem: Option<&[u8]>) -> Result<Vec<Certificate>, String> {
    let mut roots = Vec::new();
    if let Some(pem) = extra_pem {
        let extra = Certificate::from_pem_bundle(pem)
            .map_err(|_| "the extra CA file cannot be read: it must hold certificates in PEM".to_owned())?;
        if extra.is_empty() {
            return Err("the extra CA file holds no certificate: it must hold certificates in PEM".to_owned());
        }
        roots.extend(extra);
    }
    if *MACHINE_HAS_NONE {
        let mozilla = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        roots.extend(mozilla.filter_map(|der| Certificate::from_der(der).ok()));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::*;

    /// In an image with no store, Azure has to be believed all the same. Its roots are those of
    /// <https://learn.microsoft.com/en-us/azure/security/fundamentals/azure-certificate-authority-details>.
    #[test]
    fn mozillas_authorities_include_those_of_azure() {
        let names: Vec<String> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(|der| X509Certificate::from_der(der).expect("a certificate").1.subject().to_string())
            .collect();
        for wanted in [
            "DigiCert Global Root G2",
            "DigiCert Global Root G3",
            "Microsoft ECC Root Certificate Authority 2017",
            "Microsoft RSA Root Certificate Authority 2017",
        ] {
            assert!(names.iter().any(|name| name.ends_with(&format!("CN={wanted}"))), "{wanted} is not among {names:#?}");
        }
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        for (pem, expected) in [
            (&b""[..], "holds no certificate"),
            (b"hello", "holds no certificate"),
            (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "cannot be read"),
        ] {
            let message = roots_to_add(Some(pem)).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
