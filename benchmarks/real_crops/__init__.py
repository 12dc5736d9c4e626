"""What training sets are worth on real pictures: strong estimators, trained on each, tested on real
crops."""
