package proxy

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxPage is the most roles that IAM lists at once, and defaultPage those that it
// lists when nobody asks for a number (IAM API reference, "ListRoles").
const (
	maxPage     = 1000
	defaultPage = 100
)

// pageSize gives how many roles are asked for at once.
func pageSize(form url.Values) (int, *violation) {
	if !form.Has("MaxItems") {
		return defaultPage, nil
	}
	n, err := strconv.Atoi(form.Get("MaxItems"))
	if err != nil || n < 1 || n > maxPage {
		return 0, invalid("1 validation error detected: Value '%s' at 'maxItems' failed to satisfy constraint", form.Get("MaxItems"))
	}
	return n, nil
}

// tellAccount answers GetAccountAuthorizationDetails, of roles alone: moto gives
// all of them at once. Nobody changes one meanwhile, which moto would not bear.
func (p *Proxy) tellAccount(ctx context.Context, c Call, r *http.Request, form url.Values, body []byte) answer {
	if form.Get("Filter.member.1") != "Role" || form.Has("Filter.member.2") {
		return unanswered(c, "moto leaves out names and ids of policies, and users and groups are not part of it")
	}
	size, v := pageSize(form)
	if v != nil {
		return refuse(c, v.status, v.code, v.message)
	}
	p.roles.mu.Lock()
	defer p.roles.mu.Unlock()
	a := p.forward(ctx, c, r, body)
	if !a.ok() {
		return a
	}
	page, err := p.page(a.body, form.Get("Marker"), size)
	if err != nil {
		return refuse(c, http.StatusBadGateway, "LocalBackend", "moto: "+err.Error())
	}
	a.body = encodeTrusts(page)
	return a
}

// page takes those roles out of moto's answer that are on a page. The marker is
// the name of the last role before it, so that roles which come and go meanwhile
// make no other be left out.
func (p *Proxy) page(body []byte, marker string, size int) ([]byte, error) {
	type role struct {
		Name string `xml:"RoleName"`
		XML  []byte `xml:",innerxml"`
	}
	var in struct {
		Roles []role `xml:"GetAccountAuthorizationDetailsResult>RoleDetailList>member"`
	}
	if err := xml.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("details of the account: %w", err)
	}
	roles := slices.DeleteFunc(in.Roles, func(r role) bool { return r.Name <= marker })
	slices.SortFunc(roles, func(a, b role) int { return cmp.Compare(a.Name, b.Name) })
	var out bytes.Buffer
	out.WriteString(`<GetAccountAuthorizationDetailsResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetAccountAuthorizationDetailsResult><RoleDetailList>`)
	for _, r := range roles[:min(size, len(roles))] {
		fmt.Fprintf(&out, "<member>%s</member>", p.tellUse(r.Name, r.XML))
	}
	fmt.Fprintf(&out, "</RoleDetailList><IsTruncated>%v</IsTruncated>", len(roles) > size)
	if len(roles) > size {
		fmt.Fprintf(&out, "<Marker>%s</Marker>", roles[size-1].Name)
	}
	out.WriteString("</GetAccountAuthorizationDetailsResult></GetAccountAuthorizationDetailsResponse>")
	return out.Bytes(), nil
}

var trusts = regexp.MustCompile(`<AssumeRolePolicyDocument>[^<]*</AssumeRolePolicyDocument>`)

// encodeTrusts URL-encodes the trust policies in an answer that moto gives as
// they are. One that is encoded has no brace.
func encodeTrusts(body []byte) []byte {
	return trusts.ReplaceAllFunc(body, func(element []byte) []byte {
		var document string
		if err := xml.Unmarshal(element, &document); err != nil || !strings.Contains(document, "{") {
			return element
		}
		return fmt.Appendf(nil, "<AssumeRolePolicyDocument>%s</AssumeRolePolicyDocument>", strings.ReplaceAll(url.QueryEscape(document), "+", "%20"))
	})
}
