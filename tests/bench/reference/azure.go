// The calls to Analysis Services: one HTTP client for the process, and a token for each identity.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const (
	callTimeout = 30 * time.Second
	// A token is replaced when it expires within this time.
	tokenMargin = 5 * time.Minute
	maxBody     = 8 << 20
)

// An Identity is a service principal.
type Identity struct{ tenant, client, secret string }

// An Operation is what a poll shows of a refresh.
type Operation struct {
	Status    string    `json:"status"`
	StartTime time.Time `json:"startTime"`
	EndTime   time.Time `json:"endTime"`
	Objects   []struct {
		Table  string `json:"table"`
		Status string `json:"status"`
	} `json:"objects"`
	Messages []struct {
		Message string `json:"message"`
	} `json:"messages"`
}

func (o *Operation) ended() bool { return o.Status != "notStarted" && o.Status != "inProgress" }

// A refusal is a response that starts no operation.
type refusal struct{ status, body string }

func (r *refusal) Error() string {
	return fmt.Sprintf("the service responded with %s: %s", r.status, r.body)
}

// Azure is the client of the services. Its connections are kept alive, and use HTTP/2 if the server offers it.
type Azure struct {
	http   *http.Client
	mutex  sync.Mutex
	tokens map[Identity]oauth2.TokenSource
}

func newAzure(extraCAFile string) (*Azure, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	if extraCAFile != "" {
		pem, err := os.ReadFile(extraCAFile)
		if err != nil {
			return nil, err
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s contains no certificate", extraCAFile)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	client := &http.Client{Transport: transport, Timeout: callTimeout}
	return &Azure{http: client, tokens: map[Identity]oauth2.TokenSource{}}, nil
}

// token returns the cached token of an identity, or requests one by the client credentials flow.
func (a *Azure) token(identity Identity) (*oauth2.Token, error) {
	a.mutex.Lock()
	source, found := a.tokens[identity]
	if !found {
		config := clientcredentials.Config{
			ClientID:     identity.client,
			ClientSecret: identity.secret,
			TokenURL:     "https://login.microsoftonline.com/" + url.PathEscape(identity.tenant) + "/oauth2/v2.0/token",
			Scopes:       []string{"https://*.asazure.windows.net/.default"},
			AuthStyle:    oauth2.AuthStyleInParams,
		}
		ctx := context.WithValue(context.Background(), oauth2.HTTPClient, a.http)
		source = oauth2.ReuseTokenSourceWithExpiry(nil, config.TokenSource(ctx), tokenMargin)
		a.tokens[identity] = source
	}
	a.mutex.Unlock()
	return source.Token()
}

// submit sends POST refreshes, and returns the id of the operation.
func (a *Azure) submit(ctx context.Context, token *oauth2.Token, model Database, refresh Refresh) (string, error) {
	body, err := json.Marshal(map[string]string{"Type": refresh.Type})
	if err != nil {
		return "", err
	}
	response, _, err := a.call(ctx, token, http.MethodPost, model, "refreshes", body)
	if err != nil {
		return "", err
	}
	return path.Base(response.Header.Get("Location")), nil
}

// poll sends GET refreshes/<id>.
func (a *Azure) poll(ctx context.Context, token *oauth2.Token, model Database, id string) (*Operation, error) {
	_, body, err := a.call(ctx, token, http.MethodGet, model, "refreshes/"+url.PathEscape(id), nil)
	if err != nil {
		return nil, err
	}
	operation := new(Operation)
	return operation, json.Unmarshal(body, operation)
}

func (a *Azure) call(ctx context.Context, token *oauth2.Token, method string, model Database, route string, body []byte) (*http.Response, []byte, error) {
	host, server, _ := strings.Cut(strings.TrimPrefix(model.Server, "asazure://"), "/")
	address := "https://" + host + "/servers/" + server + "/models/" + url.PathEscape(model.Database) + "/" + route
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	token.SetAuthHeader(request)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Language", "en-US, en;q=0.9")
	request.Header.Set("x-ms-client-request-id", uuid.NewString())
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := a.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return nil, nil, err
	}
	if response.StatusCode >= 300 {
		return nil, nil, &refusal{response.Status, string(content)}
	}
	return response, content, nil
}
