module github.com/leitplanke/leitplanke/tools/bench

go 1.26.0
