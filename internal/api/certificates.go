package api

import (
	"context"

	"lifeboat/internal/certs"
	"lifeboat/internal/fault"
	"lifeboat/internal/role"
)

// Certificates is what the API needs of whoever holds certificates; *certs.Keeper is one.
type Certificates interface {
	View() certs.Holdings
	LookNow(ctx context.Context)
	Renew(ctx context.Context, site string) error
	Import(certificate, key []byte) (certs.Held, error)
	Forget(id string) error
}

// CertificatesView is how ready the names are, and what is held. It never holds a key.
type CertificatesView = certs.Holdings

// CertificateView is one certificate that is held.
type CertificateView = certs.Held

// NameReadiness is how ready one name is.
type NameReadiness = certs.Readiness

// CertificateNote is the severity of what is not known, or only worth knowing.
const CertificateNote = certs.Note

// RenewBody says whose certificates are to be made now.
type RenewBody struct {
	Name string `json:"name" minLength:"1" maxLength:"300" doc:"the site, or one of its names" example:"shop"`
}

// ImportBody is a certificate with its key.
type ImportBody struct {
	Certificate string `json:"certificate" minLength:"1" maxLength:"40000" doc:"PEM: the leaf and what leads to its root"`
	Key         string `json:"key" minLength:"1" maxLength:"20000" doc:"PEM, not encrypted; it is kept and never shown"`
}

type certificateInput struct {
	ID string `path:"id" maxLength:"300" doc:"as the list names it" example:"import.shop.example.com.ecdsa"`
}

func (a *api) certificateRoutes() {
	route(a, get("/certificates", "certificates", "How ready each name is to be served over HTTPS, and the certificates that are held"), func(context.Context, *struct{}) (*body[CertificatesView], error) {
		return &body[CertificatesView]{a.certificates()}, nil
	})
	look := post("/certificates/look", "certificates-look", "Look at all names now, as is done once a day", role.Operator)
	look.about = "It asks the standby, production and the name servers about each name, for as long as a request may take."
	route(a, look, func(ctx context.Context, _ *struct{}) (*body[CertificatesView], error) {
		if a.o.Certificates == nil {
			return nil, noCertificates()
		}
		a.o.Certificates.LookNow(ctx)
		return &body[CertificatesView]{a.certificates()}, nil
	})
	renew := post("/certificates/renew", "certificates-renew", "Have a site's certificates made now", role.Admin)
	renew.about = "Answered when the authority has answered. What is held is served on when it fails."
	route(a, renew, func(ctx context.Context, in *struct{ Body RenewBody }) (*body[CertificatesView], error) {
		if a.o.Certificates == nil {
			return nil, noCertificates()
		}
		a.o.Logger.Info("certificates are asked for by hand", "name", in.Body.Name, "by", actorOf(ctx).Name)
		if err := a.o.Certificates.Renew(ctx, in.Body.Name); err != nil {
			return nil, err
		}
		return &body[CertificatesView]{a.certificates()}, nil
	})
	route(a, post("/certificates/import", "certificates-import", "Bring a certificate and its key", role.Admin), func(ctx context.Context, in *struct{ Body ImportBody }) (*body[CertificateView], error) {
		if a.o.Certificates == nil {
			return nil, noCertificates()
		}
		held, err := a.o.Certificates.Import([]byte(in.Body.Certificate), []byte(in.Body.Key))
		if err == nil {
			a.o.Logger.Info("a certificate was brought", "certificate", held.ID, "by", actorOf(ctx).Name)
		}
		return &body[CertificateView]{held}, err
	})
	forget := operation{method: "DELETE", path: "/certificates/{id}", id: "certificates-forget", summary: "Take a certificate away that was brought", ruling: ruling{least: role.Admin}}
	route(a, forget, func(ctx context.Context, in *certificateInput) (*struct{}, error) {
		if a.o.Certificates == nil {
			return nil, noCertificates()
		}
		a.o.Logger.Info("a certificate is taken away", "certificate", in.ID, "by", actorOf(ctx).Name)
		return nil, a.o.Certificates.Forget(in.ID)
	})
}

func noCertificates() error {
	return fault.New(fault.NotSupported, "the configuration has no certificates").WithHint("add certificates: {ca: letsencrypt, agree: true}, or certificates: {} where they are brought by hand")
}

// certificates are how things are; empty where nobody holds any.
func (a *api) certificates() CertificatesView {
	if a.o.Certificates == nil {
		return CertificatesView{At: a.o.Now().UTC(), Score: 100, Names: []certs.Readiness{}, Certificates: []certs.Held{}, Renewals: []certs.Renewal{}, Problems: []certs.Trouble{}}
	}
	return a.o.Certificates.View()
}

// certificates tells how long they are good for, and how ready the names are.
func (s sink) certificates(v CertificatesView) {
	for _, n := range v.Names {
		left := 0.0
		if !n.Until.IsZero() {
			left = max(n.Until.Sub(v.At).Seconds(), 0)
		}
		s.gauge(certificateLeft, left, n.Site, n.Name)
		s.gauge(certificateShare, n.Left, n.Site, n.Name)
		s.gauge(certificateReady, float64(n.Score), n.Site, n.Name)
	}
	for _, r := range v.Renewals {
		s.gauge(certificateFailures, float64(r.Failures), r.ID)
	}
}
