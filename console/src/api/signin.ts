// Signing in at an identity provider's page: the authorization code flow with a proof key (RFC 7636). The server exchanges the code.
import type { Schemas } from "./client";
import { credentials, forgetCredentials, keepCredentials } from "./credentials";

type Provider = Schemas["Provider"];

export const BACK = "/signed-in"; // where a provider's page leads back to
const PLACE = "stepkeel.sign-in";
const SOON = 30_000; // milliseconds before its end that a token is renewed

interface Going {
  issuer: string;
  state: string;
  verifier: string;
  to: string;
}

/** Go to its page. Nothing that follows is run. */
export async function goTo(provider: Provider): Promise<void> {
  if (!globalThis.crypto?.subtle) throw new Error("Browsers sign in over https only (or on this machine).");
  const here = location.pathname === BACK ? "/" : location.pathname + location.search;
  const going: Going = { issuer: provider.issuer, state: chance(), verifier: chance(), to: here };
  const address = new URL(provider.authorize);
  const asked = {
    ...provider.parameters, response_type: "code", client_id: provider.client_id, redirect_uri: location.origin + BACK, scope: provider.scopes.join(" "),
    state: going.state, code_challenge: await digest(going.verifier), code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(asked)) address.searchParams.set(name, value);
  sessionStorage.setItem(PLACE, JSON.stringify(going));
  location.assign(address);
}

/** Back from its page: the credential is kept. Returns what was wrong, if anything was. */
export async function comeBack(): Promise<string> {
  const found = new URLSearchParams(location.search);
  const going = JSON.parse(sessionStorage.getItem(PLACE) ?? "null") as Going | null;
  sessionStorage.removeItem(PLACE);
  history.replaceState(null, "", going?.to ?? "/"); // the code is nobody's business any more
  const code = found.get("code");
  if (going === null || found.get("state") !== going.state) return "That is no answer to a sign-in from this tab. Sign in again.";
  if (code === null) return found.get("error_description") ?? found.get("error") ?? "The page came back without a code. Sign in again.";
  try {
    await take(going.issuer, { code, verifier: going.verifier, redirect_uri: location.origin + BACK });
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

let renewing: Promise<void> | undefined;

/** Whoever asks for something, asks here first: a token that is about to end is renewed, once for all that ask. */
export async function fresh(): Promise<void> {
  const { issuer, refresh, until } = credentials();
  if (!refresh || Date.now() < until - SOON) return;
  renewing ??= take(issuer, { refresh_token: refresh }).catch(lost).finally(() => { renewing = undefined; });
  await renewing;
}

/** What the issuer does not renew has ended; where it only does not answer, the token is tried as it is. */
function lost(error: unknown): void {
  if (error instanceof Refused) forgetCredentials();
}

class Refused extends Error {}

async function take(issuer: string, body: Record<string, string>): Promise<void> {
  const answer = await fetch("/api/v1/sign-in", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ issuer, ...body }),
  });
  const told = (await answer.json()) as Schemas["SignedIn"] & Schemas["Problem"];
  if (!answer.ok) throw answer.status < 500 && answer.status !== 429 ? new Refused(told.detail) : new Error(told.detail);
  // An issuer that gives no other one means the same (RFC 6749, 6).
  keepCredentials({ key: told.token, issuer, refresh: told.refresh_token || (body.refresh_token ?? ""), until: endOf(told.token) });
}

/** When a token ends, in milliseconds. It is the server that judges it. */
function endOf(token: string): number {
  try {
    const body = atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    return (JSON.parse(body) as { exp: number }).exp * 1_000;
  } catch {
    return 0;
  }
}

function chance(): string {
  return coded(crypto.getRandomValues(new Uint8Array(32)));
}

async function digest(text: string): Promise<string> {
  return coded(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
}

function coded(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
