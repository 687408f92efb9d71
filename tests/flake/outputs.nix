# What flake.nix gives, with as much of nixpkgs as it uses: the arguments of the build stand for what would be built.
root:
let
  flake = import (root + "/flake.nix");
  systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
  lib = {
    genAttrs = names: function: builtins.listToAttrs (map (name: { inherit name; value = function name; }) names);
    importTOML = path: builtins.fromTOML (builtins.readFile path);
    getExe = package: "${package}/bin/${package.meta.mainProgram}";
    licenses = { mit = "MIT"; asl20 = "Apache-2.0"; };
  };
  packages = system: {
    inherit lib;
    installShellFiles = "installShellFiles";
    rustPlatform.buildRustPackage = arguments: arguments // { outPath = "/nix/store/${system}"; };
    stdenv.hostPlatform = { inherit system; };
  };
  self = flake.outputs {
    inherit self;
    nixpkgs = { inherit lib; legacyPackages = lib.genAttrs systems packages; };
  };
in
{
  inherit (flake) description inputs;
  apps = builtins.mapAttrs (_: app: app.default) self.apps;
  packages = builtins.mapAttrs
    (_: package: removeAttrs package.default [ "src" "outPath" ] // {
      cargoLock = builtins.mapAttrs (_: toString) package.default.cargoLock;
    })
    self.packages;
}
