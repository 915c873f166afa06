import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "@mantine/spotlight/styles.css";
import "./console.css";

import { createTheme, type CSSVariablesResolver, MantineProvider, Modal } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BACK, comeBack } from "./api/signin";
import { queries } from "./queries";
import { router } from "./router";
import { SessionGate } from "./session";

const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
setNonce(nonce); // for the styles that dialogs put into the page

const theme = createTheme({
  primaryColor: "cyan",
  primaryShade: 9,
  autoContrast: true,
  defaultRadius: "md",
  cursorType: "pointer",
  components: { Modal: Modal.extend({ defaultProps: { closeButtonProps: { "aria-label": "Close" } } }) },
  fontFamily: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif",
});

// What is dimmed, or stands on a tint of its own colour, is still read: at least 4.5 to 1 (WCAG 2.2, 1.4.3).
const INKS = {
  green: "#1c5c2b", red: "#a01b1b", cyan: "#0b5c6b", orange: "#8f3600", yellow: "#7a4300", grape: "#752889", pink: "#8f1a42", blue: "#114a8c",
  gray: "#495057", violet: "#5535b0",
};
const GREEN = { "--mantine-color-green-filled": "#237032", "--mantine-color-green-filled-hover": "#1c5c2b" };
const colours: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#5c636a", "--mantine-color-anchor": "#0b6474", "--mantine-color-placeholder": "#6b7279", ...GREEN,
    ...Object.fromEntries(Object.entries(INKS).map(([name, ink]) => [`--mantine-color-${name}-light-color`, ink])),
  },
  dark: { "--mantine-color-dimmed": "#a6a7ab", "--mantine-color-anchor": "#66d9e8", "--mantine-color-placeholder": "#9a9ca1", ...GREEN },
});

const wrong = location.pathname === BACK ? await comeBack() : "";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={colours} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <Notifications position="bottom-right" />
      <QueryClientProvider client={queries}>
        <SessionGate wrong={wrong}>
          <RouterProvider router={router} />
        </SessionGate>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
