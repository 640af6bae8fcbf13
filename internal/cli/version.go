package cli

import (
	"runtime/debug"
	"strings"
)

// version is set by the release build with -X; it is a variable only for the linker.
var version = "" //nolint:gochecknoglobals // set by the linker

type buildInfo struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Go      string `json:"go"`
}

// Version is the version of this build.
func Version() string { return build().Version }

func build() buildInfo {
	b := buildInfo{Version: version, Commit: "unknown", Go: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if ok {
		b.Go = info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Commit = s.Value
			}
		}
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	return b
}

// component is a part of a CycloneDX bill of materials.
type component struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
}

// sbom lists the modules that are linked into this program, in CycloneDX 1.6.
func sbom() map[string]any {
	list := []component{}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			list = append(list, component{"library", m.Path, m.Version, "pkg:golang/" + strings.ToLower(m.Path) + "@" + m.Version})
		}
	}
	return map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata":   map[string]any{"component": component{"application", "leitplanke", Version(), "pkg:golang/github.com/leitplanke/leitplanke@" + Version()}},
		"components": list,
	}
}
