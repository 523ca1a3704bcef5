// The client: starts `dataforge lsp` and keeps it running while .forge files are open. All else is the server's.

const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

async function start() {
  const settings = vscode.workspace.getConfiguration("dataforge");
  const [command, ...args] = settings.get("command");
  client = new LanguageClient(
    "dataforge",
    "DataForge",
    { command, args },
    {
      documentSelector: [
        { scheme: "file", language: "forge" },
        { scheme: "file", pattern: "**/*.j2" },
      ],
      initializationOptions: {
        // A stranger's project must not run its code because somebody looks at it.
        python: vscode.workspace.isTrusted && settings.get("python"),
      },
      synchronize: {
        // What programs read besides the texts that are open: modules, prompts, lists, the project file.
        fileEvents: vscode.workspace.createFileSystemWatcher("**/*.{forge,j2,py,jsonl,toml}"),
      },
    },
  );
  try {
    await client.start();
  } catch (error) {
    const choice = await vscode.window.showErrorMessage(
      `DataForge: \`${[command, ...args].join(" ")}\` does not start: ${error.message ?? error}. ` +
        "Install it with `pip install 'dataforge-compiler[lsp]'`, or say in the settings where it is.",
      "Open settings",
    );
    if (choice) {
      await vscode.commands.executeCommand("workbench.action.openSettings", "dataforge.command");
    }
  }
}

async function stop() {
  const running = client;
  client = undefined;
  if (running?.isRunning()) {
    await running.stop();
  }
  await running?.dispose();
}

async function restart() {
  await stop();
  await start();
}

exports.activate = async (context) => {
  context.subscriptions.push(
    vscode.commands.registerCommand("dataforge.restart", restart),
    vscode.workspace.onDidGrantWorkspaceTrust(restart),
    vscode.workspace.onDidChangeConfiguration((change) => {
      if (change.affectsConfiguration("dataforge.command") || change.affectsConfiguration("dataforge.python")) {
        return restart();
      }
    }),
  );
  await start();
};

exports.deactivate = stop;
