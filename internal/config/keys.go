package config

import (
	"regexp"
	"strings"
)

// idPattern is what sites, origins, checks, levers, actions, channels and resolvers
// may be called. "~" is kept for the stand-ins of drills.
var idPattern = regexp.MustCompile(`^[a-z0-9-]{1,40}$`)

// featurePattern is what features may be called: their keys are the keys in the
// code that asks.
var featurePattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,80}$`)

// keySet is what a section may hold: the keys that are known, and those that a
// later version has, with what to do meanwhile.
type keySet struct {
	known []string
	later map[string]string
}

var topKeys = keySet{
	known: []string{"console", "sign_in", "dns", "nameservers", "resolvers", "contacts", "sites", "zones", "levers", "features", "evaluators", "ofrep", "actions", "channels", "databases", "certificates", "status"},
	later: map[string]string{
		"providers": "only zones that lifeboat serves itself can be moved; delegate one to it",
		"places":    "checks run from this machine only",
		"alerts":    "declare by hand or let a check propose",
		"messages":  tellChannel,
		"notify":    tellChannel,
		"hooks":     "declare by hand or let a check propose",
		"people":    "invite people with lifeboat account invite",
		"users":     "invite people with lifeboat account invite",
		"evidence":  "say under capture of a site what is collected",
		"changes":   "note what changed in the timeline",
		"drills":    "rehearse with lifeboat drill LEVER",
		"cluster":   "run one control and one answer",
		"backup":    "copy the data folder",
		"telemetry": "read /metrics",
	},
}

var consoleKeys = keySet{
	known: []string{"url", "certificate", "key"},
	later: map[string]string{
		"listen": "say --http at the command", "http": "say --http at the command", "tls": "write certificate and key",
		"proxies": "end TLS on lifeboat's own machine: then it knows whom a request comes from",
	},
}

var signInKeys = keySet{
	known: []string{"name", "issuer", "client_id", "secret_file", "claim", "scopes", "groups"},
	later: map[string]string{
		"secret": "write the secret into a file, and its name as secret_file", "client_secret": "write the secret into a file, and its name as secret_file",
		"only": "the ways that lifeboat has itself stay open, whatever happens at the issuer", "required": "the ways that lifeboat has itself stay open, whatever happens at the issuer",
		"saml": "use an issuer that speaks OpenID Connect", "ldap": "use an issuer that speaks OpenID Connect",
	},
}

var dnsKeys = keySet{
	known: []string{"nsid", "require_cookie", "rate", "slip", "exempt", "watch", "query_log", "keys"},
	later: map[string]string{
		"address": useListen, "listen": useListen, "port": useListen, "dnssec": "say dnssec: true at each zone that is to be signed", "recursion": "lifeboat answers for its own zones only",
		"cookie_secret": "lifeboat makes one and keeps it in its data folder", "networks": "the limit counts by /24 and /64",
	},
}

var watchKeys = keySet{
	known: []string{"every", "from", "rdap"},
	later: map[string]string{"resolvers": "delegations are followed from the root; resolvers: asks what is cached", "zones": "all zones are looked at"},
}

const useListen = "start with --dns ADDRESS"

var siteKeys = keySet{
	known: []string{"title", "names", "scheme", "port", "ca_file", "home", "origins", "standby", "status_page", "contact", "checks", "sanity", "go_back",
		"failover", "take_back", "watch", "armed_for", "settle", "auto_gap", "silence", "capture", "fixes", "update_every", "stuck", "look_back", "look_again"},
	later: map[string]string{
		"stages":       "write it inside: go_back: {stages: [10, 50, 100]}",
		"certificate":  useCertificates,
		"certificates": useCertificates,
		"mirror":       "the standby shows the status page only",
		"copy":         "the standby shows the status page only",
		"inbox":        "the standby asks visitors to come back later",
		"places":       "checks run from this machine only",
		"quorum":       "checks run from this machine only",
		"heartbeat":    "use a check of kind http or tcp",
		"promises":     "note them in the timeline",
		"alerts":       "declare by hand or let a check propose",
		"notify":       tellChannel,
		"drills":       "rehearse with lifeboat drill LEVER",
		"readiness":    "see lifeboat check",
	},
}

const useCertificates = "write certificates: {ca: letsencrypt, agree: true} at the top of the file"

var certificatesKeys = keySet{
	known: []string{"ca", "agree", "email", "roots_file", "keys", "profile", "eab", "caa", "files"},
	later: map[string]string{
		"directory": "write ca: https://ca.example.net/directory", "acme": "write ca: letsencrypt", "roots": "write roots_file: roots.pem", "key_type": "write keys: [ecdsa]",
		"on_demand": "names come from the sites, so that nobody can have certificates made by asking for names", "names": "names come from the sites",
		"http": useDNS, "http01": useDNS, "tls_alpn": useDNS, "dns": "names are proved in the zones that lifeboat serves", "renew": "a third of the lifetime before the end, or when the authority asks for it",
	},
}

const useDNS = "names are proved in DNS only: they lead to production while the standby needs its certificates"

var eabKeys = keySet{
	known: []string{"key_id", "mac_key_file"},
	later: map[string]string{"mac_key": "write it into a file of its own, and mac_key_file: its name", "kid": "write key_id", "hmac": "write mac_key_file"},
}

var certificateFileKeys = keySet{
	known: []string{"certificate", "key"},
	later: map[string]string{"chain": "put the chain into the certificate's file, behind the leaf", "password": "nobody can type a password in a crisis: keep the key in plain, readable for lifeboat only"},
}

var originKeys = keySet{
	known: []string{"address", "addresses", "alias"},
	later: map[string]string{
		"weight": "visitors go to one origin at a time",
		"port":   "all origins use the site's port",
		"scheme": "all origins use the site's scheme",
		"cname":  "write alias: shop.cdn.example.net.",
		"name":   "write alias: shop.cdn.example.net.",
	},
}

var standbyKeys = keySet{
	known: []string{"address", "addresses", "api", "health", "robots", "well_known"},
	later: map[string]string{
		"certificate":  useCertificates,
		"certificates": useCertificates,
		"key":          useCertificates,
		"https":        useCertificates,
		"tls":          useCertificates,
		"acme":         useCertificates,
		"page":         "the standby shows the status page only",
		"proxy":        "visitors go back all at once, after the sanity checks",
		"mirror":       "the standby shows the status page only",
	},
}

var checkKeys = keySet{
	known: []string{"http", "tcp", "every", "timeout", "down_after", "up_after", "gate"},
	later: map[string]string{
		"dns": "use http or tcp", "tls": "use http or tcp", "icmp": "use http or tcp", "ping": "use http or tcp", "grpc": "use http or tcp",
		"exec": "use http or tcp", "browser": "use http or tcp", "heartbeat": "use http or tcp", "steps": "use http or tcp", "websocket": "use http or tcp",
		"sql": "use tcp", "places": "checks run from this machine only", "quorum": "checks run from this machine only",
	},
}

var httpKeys = keySet{
	known: []string{"path", "status", "contains", "method"},
	later: map[string]string{
		"headers": "ask for a path that needs none", "header": "ask for a path that needs none", "body": "ask for a path that needs none",
		"host": "the site's first name is asked for", "port": "the site's port is used", "user_agent": "ask for a path that needs none",
		"redirects": "name the status that you expect, for example status: 301", "not_contains": "use contains",
		"latency": "use timeout", "json": "use contains",
	},
}

var tcpKeys = keySet{
	known: []string{"port"},
	later: map[string]string{"send": "only connecting is checked", "expect": "only connecting is checked"},
}

var sanityKeys = keySet{
	known: []string{"passes", "apart"},
	later: map[string]string{"paths": "write a check with gate: true", "checks": "write gate: true at the check"},
}

var goBackKeys = keySet{
	known: []string{"stages", "hold"},
	later: map[string]string{"through": "visitors go back by DNS, in shares of their resolvers"},
}

var captureKeys = keySet{
	known: []string{"paths", "metrics", "logs"},
	later: map[string]string{
		"screenshots": "name the pages under paths", "database": "name its log under logs", "sql": "name its log under logs",
		"exec": "let a command of yours write a file, and name it under logs", "every": "evidence is captured when an incident is declared",
	},
}

var metricsKeys = keySet{
	known: []string{"path", "port"},
	later: map[string]string{
		"url": "each origin is asked by address", "host": "each origin is asked by address", "scheme": "the site's scheme is used",
		"headers": "ask for a path that needs none", "token": "ask for a path that needs none",
	},
}

var fixesKeys = keySet{
	known: []string{"approval", "pause", "apart", "rest", "passes"},
	later: map[string]string{"approvers": "any other person may approve a fix"},
}

var contactKeys = keySet{
	known: []string{"name", "phone", "says"},
	later: map[string]string{
		"email": "write the phone number that is answered at night", "mail": "write the phone number that is answered at night",
		"hours": "say it under says",
	},
}

var zoneKeys = keySet{
	known: []string{"ttl", "ns", "contact", "minimum", "follow", "records", "file", "at_least", "secondaries", "primaries", "dnssec"},
	later: map[string]string{
		"sign": "say dnssec: true", "provider": "lifeboat serves the zone itself",
		"primary": usePrimaries, "secondary": useSecondaries, "transfer": useSecondaries, "notify": useSecondaries, "also_notify": useSecondaries,
		"tsig": "write key: NAME beside the address of a secondary or a primary", "update": "change this file",
	},
}

const (
	useSecondaries = "write secondaries: [{address: 192.0.2.53, key: ns2}]"
	usePrimaries   = "write primaries: [{address: 192.0.2.53, key: ns2}]"
)

var peerKeys = keySet{
	known: []string{"address", "key"},
	later: map[string]string{
		"addresses": "write one line for each address", "port": "write address: 192.0.2.53:5353", "notify": "every secondary is told",
		"secret": useSecretFile, "secret_file": useSecretFile, "tls": "zones are exchanged over TCP, signed with a key",
	},
}

var transferKeyKeys = keySet{
	known: []string{"secret_file"},
	later: map[string]string{"secret": useKeyFile, "key": useKeyFile, "algorithm": useKeyFile, "name": useKeyFile},
}

const (
	useSecretFile = "write key: NAME, and the key under dns: keys:"
	useKeyFile    = "write what tsig-keygen prints into a file of its own, and its name here: secret_file: ns2.key"
)

var leverKeys = keySet{
	known: append([]string{"title", "says", "site"}, leverKindNames()...),
	later: leverKinds,
}

// leverKinds are the drivers to come.
var leverKinds = map[string]string{
	"quarantine": useLever, "provider": useLever, "rfc2136": useLever, "route53": useLever, "cloudflare": useLever, "external": useLever,
	"exec": useAction, "webhook": useAction, "haproxy": useLever, "nginx": useLever, "caddy": useLever, "systemd": useLever, "kubernetes": useLever,
	"go_back": "visitors go back all at once, after the sanity checks",

	"go_feature_flag": "write goff", "gofeatureflag": "write goff", "env": "write envfile", "env_file": "write envfile",
	"flagsmith": useLever, "growthbook": useLever, "posthog": useLever, "split": useLever, "configcat": useLever,
}

const (
	useLever    = "levers are of kind zone, feature, flagd, goff, envfile, unleash, flipt, launchdarkly, files or objects"
	useAction   = useLever + "; a prepared act for a fix goes under actions"
	useWebhook  = "write webhook: {url: …} of a program that turns it into this"
	tellChannel = "write channels: {chat: {webhook: {url: …}}}"
)

var actionKeys = keySet{
	known: []string{"title", "says", "site", "exec", "webhook", "deadline", "undo"},
	later: map[string]string{
		"ssh": "write exec: [/usr/bin/ssh, …]", "http": "use webhook", "sql": useScript, "script": useScript, "shell": useScript, "steps": useScript,
		"env": useScript, "dir": useScript, "user": useScript, "inputs": "make an action of each choice",
	},
}

const useScript = "put it into a script and write exec: [/path/of/the/script]"

var undoKeys = keySet{
	known: []string{"exec", "webhook"},
	later: map[string]string{"deadline": "the action's deadline holds for its undo too"},
}

var webhookKeys = keySet{
	known: []string{"url", "secret_file"},
	later: map[string]string{
		"headers": useReceiver, "header": useReceiver, "method": useReceiver, "body": useReceiver, "template": useReceiver, "format": useReceiver,
	},
}

const useReceiver = "a webhook is a POST of lifeboat's own JSON; turn it into another form where it is received"

var channelKeys = keySet{
	known: []string{"webhook", "tells"},
	later: map[string]string{
		"mail": useWebhook, "email": useWebhook, "smtp": useWebhook, "sms": useWebhook, "slack": useWebhook, "teams": useWebhook, "matrix": useWebhook,
		"irc": useWebhook, "exec": useWebhook, "sites": "a channel is told of all sites", "site": "a channel is told of all sites",
	},
}

var databaseKeys = keySet{
	known: []string{"kind", "dsn_file", "dsn_env", "file", "site", "tables", "logical_keys", "symptom", "symptom_query", "pages", "max_rows", "approval"},
	later: map[string]string{
		"dsn": keepDSN, "url": keepDSN, "password": keepDSN, "user": keepDSN, "host": keepDSN, "port": keepDSN, "address": keepDSN,
		"predicate": usePredicate, "where": usePredicate, "hide": "rows are taken away, or cells replaced",
	},
}

const (
	keepDSN      = "put the address, user and password into a file of their own and write dsn_file: its name"
	usePredicate = "rows are chosen when they are taken away, not here"
)

var logicalKeyKeys = keySet{
	known: []string{"table", "columns", "to", "to_columns", "when"},
	later: map[string]string{"on_delete": "rows that point at what is taken away go with it"},
}

var zoneLeverKeys = keySet{
	known: []string{"site", "to"},
	later: map[string]string{"names": "all names that follow the site move together", "weight": "all visitors move together", "percent": "all visitors move together"},
}

var filesLeverKeys = keySet{
	known: []string{"root", "paths", "glob", "aside"},
	later: map[string]string{"host": thisMachine, "ssh": thisMachine, "path": "write paths: [banner.jpg]"},
}

const thisMachine = "files are on lifeboat's machine; for another machine's write an action"

var objectsLeverKeys = keySet{
	known: []string{"endpoint", "region", "bucket", "credentials_file", "keys", "prefix", "aside"},
	later: map[string]string{"url": "write endpoint: and bucket:", "access_key": keepKeys, "secret_key": keepKeys, "secret": keepKeys, "key": "write keys: [banner.jpg]"},
}

const keepKeys = "put the access key's id and its secret into a file of their own, one a line, and write credentials_file: its name"

var featureLeverKeys = keySet{
	known: []string{"key", "value"},
	later: map[string]string{"percent": holdsForAll, "targeting": holdsForAll, "variant": "write its value"},
}

const holdsForAll = "the value holds for everybody"

var featureKeys = keySet{
	known: []string{"value", "off", "says", "owner", "code_default", "variants", "targeting", "public"},
	later: map[string]string{
		"percent": useFractional, "rollout": useFractional, "rules": "write targeting: with one rule", "state": "a feature that is off has its off value",
		"default_variant": "value is the default", "defaultVariant": "value is the default",
	},
}

const useFractional = `write targeting: {fractional: [["on", 90], ["off", 10]]}`

var ofrepKeys = keySet{
	known: []string{"keys", "origins"},
	later: map[string]string{"address": "start with --ofrep ADDRESS", "listen": "start with --ofrep ADDRESS", "tls": "end TLS in front of lifeboat", "cors": "write origins:"},
}

var ofrepKeyKeys = keySet{
	known: []string{"sha256", "for", "per_second"},
	later: map[string]string{
		"key": hashIt, "secret": hashIt, "token": hashIt, "value": hashIt, "secret_file": hashIt, "features": "a key sees all features, or all public ones",
	},
}

const hashIt = "write sha256: what this prints: printf %s KEY | sha256sum"

// nearest gives the known word that was most likely meant, "" when none is near.
func nearest(word string, known []string) string {
	best, distance := "", max(1, min(len(word), 40)/3)+1
	if len(word) > 40 {
		return ""
	}
	for _, k := range known[:min(len(known), 200)] {
		if d := edits(plain(word), plain(k)); d < distance {
			best, distance = k, d
		}
	}
	return best
}

func plain(word string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(word))
}

// edits counts the letters to add, drop, change or swap with a neighbour to get
// from a to b.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+differ(a[i-1], b[j-1]))
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

func differ(a, b byte) int {
	if a == b {
		return 0
	}
	return 1
}
