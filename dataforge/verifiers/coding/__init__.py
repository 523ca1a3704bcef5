"""What the verifier `code` is made of: finding the program in an answer, comparing results, exercises with known answers."""
