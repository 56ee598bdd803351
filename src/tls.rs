//! The trusted certificate authorities: those of the machine, and additional ones.

use std::sync::LazyLock;

use reqwest::Certificate;

/// Whether the store of the machine is empty. The store may have hundreds of files, so it is read once.
static MACHINE_HAS_NONE: LazyLock<bool> = LazyLock::new(|| {
    let none = rustls_native_certs::load_native_certs().certs.is_empty();
    if none {
        tracing::info!("no certificate authorities found on this machine; trusting Mozilla's");
    }
    none
});

/// The authorities to trust in addition to the store of the machine.
///
/// The authorities in `extra_pem` never replace others. If the machine has no store (an image built `FROM scratch`), Mozilla's authorities
/// are added too, because the client would otherwise trust none.
pub(crate) fn roots_to_add(extra_pem: Option<&[u8]>) -> Result<Vec<Certificate>, String> {
    let mut roots = Vec::new();
    if let Some(pem) = extra_pem {
        let extra = Certificate::from_pem_bundle(pem)
            .map_err(|_| "failed to parse the extra CA file; it must contain certificates in PEM".to_owned())?;
        if extra.is_empty() {
            return Err("the extra CA file contains no certificate; it must contain certificates in PEM".to_owned());
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

    /// Azure must be trusted in an image without a store. Its roots are those in
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
    fn file_without_certificates_is_rejected() {
        for (pem, expected) in [
            (&b""[..], "contains no certificate"),
            (b"hello", "contains no certificate"),
            (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "failed to parse"),
        ] {
            let message = roots_to_add(Some(pem)).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
