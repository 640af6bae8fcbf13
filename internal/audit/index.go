package audit

const indexName = "index"
