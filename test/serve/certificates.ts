import { writeFileSync } from 'node:fs';
import path from 'node:path';

export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** The same as files. */
export interface TestCertificateFiles extends TestCertificate {
  readonly certFile: string;
  readonly keyFile: string;
}

// Two that vouch for themselves, for localhost and 127.0.0.1, valid for a hundred years, made for these tests alone:
// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 36500 \
//   -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1
export const one: TestCertificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBmjCCAUGgAwIBAgIUU6Mm29EhOVWYRNi9Vr8i4EfvPcgwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjExNTczOFoYDzIxMjYxMDI5
MTE1NzM4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASd5qgnvspro6Pk3fBxgwyd4mGC/sSLuRFTEXmDQB4RidOtwptGOt28
NHSFOJx9MjqAFr36zoCqIULUjo7hZTN8o28wbTAdBgNVHQ4EFgQUZnCPyiUogOP0
hj/1yUEsF5DoGPswHwYDVR0jBBgwFoAUZnCPyiUogOP0hj/1yUEsF5DoGPswDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDRwAwRAIgTVULJfXRKoA81iQmUKWC6VSewU27lTBkmVF/c4hhKF4CIFhO
vKpiV2ElZcgpFRUDTz7nLZgUe1A69A2kg7bS9Ovi
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgrhsmUMqXhuqmN8dj
BRY6K2HRKhaBWnjjNnCO5mo6N5KhRANCAASd5qgnvspro6Pk3fBxgwyd4mGC/sSL
uRFTEXmDQB4RidOtwptGOt28NHSFOJx9MjqAFr36zoCqIULUjo7hZTN8
-----END PRIVATE KEY-----
`,
};

export const other: TestCertificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUJsIzHw/B3HJYbYkuslUs+Il3ukAwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjExNTczOFoYDzIxMjYxMDI5
MTE1NzM4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARrbeGI9it7OA7nWglh/k1d4o614lIaxCRUjRJUMQ7Yjc3UWPDdrdpL
woZ+b+jIF8vUTy8aIoy8Hg9VSywSRuW3o28wbTAdBgNVHQ4EFgQU1adUy7m2KY/Z
nO851y/0yVT2Z2gwHwYDVR0jBBgwFoAU1adUy7m2KY/ZnO851y/0yVT2Z2gwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhAJdyQzSy/mBNaDhOZZLPBsLBnT8IkDc70y3WBFjBljf7AiEA
zSMdM1lxMnpoXPn5SWexmYVjr4D3/J7Wg4WQuGl1hcw=
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgV1HGnxtEXYDABxGQ
xz4W6IVMqvr96aV/inqLPakyOUahRANCAARrbeGI9it7OA7nWglh/k1d4o614lIa
xCRUjRJUMQ7Yjc3UWPDdrdpLwoZ+b+jIF8vUTy8aIoy8Hg9VSywSRuW3
-----END PRIVATE KEY-----
`,
};

// the same, ended before it began: openssl x509 -req -days -1
export const expired: TestCertificate = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBITCByQIUX2kWfrTIabKKEc8mpopHp9a9Z9cwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MB4XDTI2MTEyMjE1MzEyOVoXDTI2MTEyMTE1MzEyOVow
FDESMBAGA1UEAwwJbG9jYWxob3N0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
Srplp/CGHcSyvmKkxVAPSYKaKGwaZwv42OjTkS8Ny49ONK3CGNfEgiUAUPVcxCYj
V1qsIMfykQjWx/398nvKFzAKBggqhkjOPQQDAgNHADBEAiB5bQLA//VOLIeB2Tov
6lGqin6ld9KcaR1fvLyj/JzMeQIgawBJRHw3yOV4y7tf2yl1k9kNtKBdT0tVvbjH
oSL/PRE=
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgMRA05ed5fVYU2C9Z
shIUnmlEKsDw+vV/9gc7QuEQmG+hRANCAARKumWn8IYdxLK+YqTFUA9JgpoobBpn
C/jY6NORLw3Lj040rcIY18SCJQBQ9VzEJiNXWqwgx/KRCNbH/f3ye8oX
-----END PRIVATE KEY-----
`,
};

/** One that an authority of no consequence issued, whose own certificate and key are gone. */
export const issued = `-----BEGIN CERTIFICATE-----
MIIBJDCBywIUXOv8qrQhR3RZQEbL3f3WLwnp3HEwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJYXV0aG9yaXR5MCAXDTI2MTEyMjE1NDUyMVoYDzIxMjYxMDI5MTU0NTIx
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAQXp2DfbFA2AGpYVIpU68P9EdKBqWrMroYc74QmY8I7NRbvHdg6krUBwoE+J8j0
/5674IMjB4nG+KhjiNBkkDxaMAoGCCqGSM49BAMCA0gAMEUCIGQaBgZi+SwfZSWa
cJeb/Ay6GofLzFC7NahGHri7UwNhAiEA12Fz4TsCjnWqmm4g+F/2vBTTXtk1fAdU
E04KeDW0vYQ=
-----END CERTIFICATE-----
`;

export function asFiles(dir: string, name: string, { cert, key }: TestCertificate): TestCertificateFiles {
  const [certFile, keyFile] = [path.join(dir, `${name}-cert.pem`), path.join(dir, `${name}-key.pem`)];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key, { mode: 0o600 });
  return { cert, key, certFile, keyFile };
}
