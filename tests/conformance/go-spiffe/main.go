// Answers the conformance vectors on standard input as go-spiffe v2 does.
package main

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

type vectors struct {
	IDs []struct {
		Name string `json:"name"`
		ID   string `json:"id"`
	} `json:"spiffe-id"`
	SVIDs []struct {
		Name    string              `json:"name"`
		Chain   [][]byte            `json:"chain"`
		Bundles map[string][][]byte `json:"bundles"`
	} `json:"x509-svid"`
	Bundles []struct {
		Name        string `json:"name"`
		TrustDomain string `json:"trustDomain"`
		Document    string `json:"document"`
	} `json:"spiffe-bundle"`
}

type answer struct {
	Answer string `json:"answer"`
	Why    string `json:"why,omitempty"`
}

func main() {
	var given vectors
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	answers := map[string]map[string]answer{"spiffe-id": {}, "x509-svid": {}, "spiffe-bundle": {}}
	for _, vector := range given.IDs {
		_, err := spiffeid.FromString(vector.ID)
		answers["spiffe-id"][vector.Name] = validity(err)
	}
	for _, vector := range given.SVIDs {
		answers["x509-svid"][vector.Name] = validity(verify(vector.Chain, vector.Bundles))
	}
	for _, vector := range given.Bundles {
		answers["spiffe-bundle"][vector.Name] = roots(vector.TrustDomain, vector.Document)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func validity(err error) answer {
	if err != nil {
		return answer{Answer: "Invalid", Why: err.Error()}
	}
	return answer{Answer: "Valid"}
}

// verify does what a server does that is shown the chain.
func verify(chain [][]byte, bundles map[string][][]byte) error {
	set := x509bundle.NewSet()
	for name, certificates := range bundles {
		domain, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			return err
		}
		bundle := x509bundle.New(domain)
		for _, der := range certificates {
			certificate, err := x509.ParseCertificate(der)
			if err != nil {
				return err
			}
			bundle.AddX509Authority(certificate)
		}
		set.Add(bundle)
	}
	_, _, err := x509svid.ParseAndVerify(chain, set)
	return err
}

func roots(name, document string) answer {
	domain, err := spiffeid.TrustDomainFromString(name)
	if err != nil {
		return answer{Answer: "Refused", Why: err.Error()}
	}
	bundle, err := spiffebundle.Parse(domain, []byte(document))
	if err != nil {
		return answer{Answer: "Refused", Why: err.Error()}
	}
	count := len(bundle.X509Authorities())
	if count == 1 {
		return answer{Answer: "1 root"}
	}
	return answer{Answer: fmt.Sprintf("%d roots", count)}
}
