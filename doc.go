// Package leitplanke is the root of the module: it holds the tests of the house as a whole, and no code. The program is in
// cmd/leitplanke, the public format of the log in bundle.
package leitplanke
