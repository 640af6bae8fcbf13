// Package oracle shows foreign software the logs that Leitplanke exports: Tessera's fsck and torchwood have to accept
// them, and to refuse them once they are spoiled. It is a module of its own, so that the product does not depend on them.
//
// Defects of Tessera's fsck that the tests work around (v1.0.4, see the design of the log): with one worker it hangs on a
// corrupted full tile, and some corruptions make it panic. So it runs with 16 workers, under a deadline, and a panic
// counts as a refusal.
package oracle
