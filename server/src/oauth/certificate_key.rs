//! Whether a key that a client has registered is the one of a certificate (RFC 8705 §2.2.2).

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::oid::db::{rfc5912, rfc8410};

/// First byte of a point that is not compressed (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Whether the registered key is the certificate's. One with `x5c` is for that certificate alone; one without it, for every
/// certificate of the key.
pub(super) fn is_registered(jwk: &Jwk, certificate: &Certificate, der: &[u8]) -> bool {
    match jwk.common.x509_chain.as_deref() {
        Some([own, ..]) => Base64::decode_vec(own).is_ok_and(|own| own == der),
        Some([]) | None => is_same_key(jwk, certificate).unwrap_or(false),
    }
}

fn is_same_key(jwk: &Jwk, certificate: &Certificate) -> Option<bool> {
    let info = certificate.tbs_certificate().subject_public_key_info();
    let is = |oid: ObjectIdentifier| info.algorithm.oid == oid;
    let key = info.subject_public_key.as_bytes()?;
    Some(match &jwk.algorithm {
        AlgorithmParameters::RSA(rsa) => {
            // RFC 8017 appendix A.1.1
            let numbers = Vec::<UintRef<'_>>::from_der(key).ok()?;
            let [modulus, exponent] = numbers[..] else {
                return None;
            };
            is(rfc5912::RSA_ENCRYPTION)
                && modulus.as_bytes() == number(&rsa.n)?
                && exponent.as_bytes() == number(&rsa.e)?
        }
        AlgorithmParameters::EllipticCurve(point) => {
            let curve: ObjectIdentifier = info.algorithm.parameters.as_ref()?.decode_as().ok()?;
            let point = [vec![UNCOMPRESSED], bytes(&point.x)?, bytes(&point.y)?].concat();
            is(rfc5912::ID_EC_PUBLIC_KEY) && curve == rfc5912::SECP_256_R_1 && key == point
        }
        AlgorithmParameters::OctetKeyPair(pair) => is(rfc8410::ID_ED_25519) && key == bytes(&pair.x)?,
        _ => false,
    })
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

/// Reads a number, without zeros before it.
fn number(text: &str) -> Option<Vec<u8>> {
    let bytes = bytes(text)?;
    let start = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[start..].to_vec())
}
