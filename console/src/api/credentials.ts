// Who asks: kept for this tab alone, and gone with it.
export interface Credentials {
  key: string;
  tenant: string;
  actor: string;
}

const PLACE = "stepkeel.credentials";
const NOBODY: Credentials = { key: "", tenant: "", actor: "" };
let known: Credentials | undefined;

export function credentials(): Credentials {
  if (known === undefined) {
    try {
      known = { ...NOBODY, ...(JSON.parse(sessionStorage.getItem(PLACE) ?? "{}") as Partial<Credentials>) };
    } catch {
      known = NOBODY;
    }
  }
  return known;
}

export function keepCredentials(changes: Partial<Credentials>): void {
  known = { ...credentials(), ...changes };
  sessionStorage.setItem(PLACE, JSON.stringify(known));
}

export function forgetCredentials(): void {
  known = NOBODY;
  sessionStorage.removeItem(PLACE);
}
