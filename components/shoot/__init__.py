"""New photos of a person from a trained model: `components.shoot.generate.generate(model, sitter, poses, out)`."""
