// Package bundle is the public format of Leitplanke's log and the verification of an exported log without the product.
//
// A log is a list of leaves in a Merkle tree (RFC 6962, computed by golang.org/x/mod/sumdb/tlog) whose size and root are
// signed as a checkpoint (C2SP tlog-checkpoint, signed-note). A leaf holds no personal content: it holds salted
// commitments to it, and the hash of a sealed part that lies beside the leaf and can be erased while every proof still
// verifies.
//
// # Evidence bundle, format leitplanke.bundle/v1
//
// A bundle is a zip file (method Store, names sorted, date 1980-01-01, no extra fields, no comment, no zip64) or a folder
// with the same files:
//
//	README.txt            for the auditor, in German and English; the first line says whether the log is complete here
//	manifest.json         what the bundle is about; path, length and SHA-256 of every other file (see Manifest)
//	manifest.sig          signed note of the log key over "leitplanke.bundle/v1\n" SHA-256 of manifest.json in hex "\n"
//	checkpoint            newest checkpoint; it covers exactly the entries of the bundle's log
//	checkpoints/SIZE      older checkpoints, a selection
//	keys.json             origin, verifier key and fingerprint of the log key
//	tile/L/N              all hash tiles of the log, partial ones as N.p/W (C2SP tlog-tiles v0.1.0)
//	tile/entries/N        leaves: length in 2 bytes, then the leaf; a destroyed leaf has length 0
//	payloads/sealed/N     sealed parts of the same entries, see WriteSealed
//	verify.py             the verifier in Python, standard library only
//
// Entry bundles (tile/entries and payloads/sealed, 256 entries each) are there for the period from ≤ n < to of the
// manifest, and for later entries that say why content of the period is gone; of all other entries only the hashes are
// there. With a system in the manifest the sealed parts of other systems are left out, and marked so.
//
// JSON files have one spelling: fields in the order given here, indented by one space, a line end after the last brace.
//
// The package needs the standard library and golang.org/x/mod only.
package bundle
