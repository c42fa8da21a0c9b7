"""New photos of a person from a trained model: `components.shoot.generate.generate(model, subject, poses, out)`."""
